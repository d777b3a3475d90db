package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// machine is where the figures are from.
func machine(ctx context.Context) report.Machine {
	m := report.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: loadAverage()}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(info) {
		if name, ok := bytes.CutPrefix(line, []byte("model name")); ok {
			m.CPU = strings.Trim(string(name), " \t:\n")
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(release))
	m.Commit = said(ctx, "git", "describe", "--always", "--dirty")
	return m
}

// said is the first line of what a program says, "" if it cannot be run.
func said(ctx context.Context, argv ...string) string {
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
