package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// Machine is where the figures are from.
type Machine struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
	Nginx      string `json:"nginx,omitempty"`
	LoadBefore string `json:"loadBefore"` // 1, 5 and 15 minutes
	LoadAfter  string `json:"loadAfter"`
}

func machine(ctx context.Context) Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: loadAverage()}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(info) {
		if name, ok := bytes.CutPrefix(line, []byte("model name")); ok {
			m.CPU = strings.Trim(string(name), " \t:\n")
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(release))
	m.Commit = firstLine(ctx, "git", "describe", "--always", "--dirty")
	if version := regexp.MustCompile(`nginx/\S+`).FindString(firstLine(ctx, "nginx", "-v")); version != "" {
		m.Nginx = version
	}
	return m
}

// firstLine is what a program says, "" if it cannot be run.
func firstLine(ctx context.Context, argv ...string) string {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// loadAverage is how many threads wanted to run lately.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}
