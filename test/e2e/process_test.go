//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process is a process of a node. The nodes of hack/cluster are namespaces of this machine, so their processes are in our /proc.
type process struct {
	pid  int
	args []string
}

// processes finds the processes of a program that fulfil a condition.
func processes(program string, is func(p process) bool) (out []process) {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil || len(line) == 0 { // it has ended, or is the kernel's
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(folder))
		p := process{pid, strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")}
		if filepath.Base(p.args[0]) == program && is(p) {
			out = append(out, p)
		}
	}
	return out
}

// ofPod says whether a process belongs to a container that is told this pod name.
func (p process) ofPod(name string) bool {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
	return err == nil && slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(v []byte) bool { return string(v) == "POD_NAME="+name })
}

func (p process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.pid, s); err != nil {
		t.Fatalf("%s to process %d, %s: %v", s, p.pid, p.args[0], err)
	}
}
