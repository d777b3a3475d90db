package main

import (
	"bytes"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory makes the garbage collector work harder before the container's
// memory limit ends the process, unless GOMEMLIMIT says otherwise: nine tenths of
// it, since stacks of the kernel, sockets and the binary's pages count too. How
// many cores there are the Go runtime finds out itself.
func limitMemory(root string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := containerLimit(root); limit < math.MaxInt64 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// containerLimit is the least memory.max of the process's control group and those
// around it, in bytes; math.MaxInt64 for none. root is where the file system
// begins: "/". Of version 1 of control groups nothing is known.
func containerLimit(root string) int64 {
	limit := int64(math.MaxInt64)
	groups, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return limit // no Linux
	}
	for line := range bytes.Lines(groups) {
		group, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::")
		if !ok {
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			if max, err := os.ReadFile(path.Join(root, "sys/fs/cgroup", group, "memory.max")); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(max)), 10, 64); err == nil && n > 0 {
					limit = min(limit, n)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}
