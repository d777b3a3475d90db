// Package memory finds out how much memory this process may have, and tells the
// Go runtime: a collector that does not know lets the kernel kill the process. It
// gives back what is not in use.
//
// The commands that serve call Follow once; what it returns bounds what the proxy
// takes on. They call GiveBack when the first table is served, and Keep runs beside
// the proxy. It reads the control groups of Linux (cgroups(7)).
package memory

import (
	"bufio"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// share of the container's memory, in percent, that the runtime may have. The
// kernel counts the rest for the sockets of the process.
const share = 90

// Least is how many bytes a gateway takes that has hardly anything to do. With less it
// refuses all connections.
const Least = 28 << 20

// Follow makes the runtime keep to the container's memory, unless GOMEMLIMIT says
// what it may have. It returns how many bytes that are; 0: there is no limit.
func Follow() int64 { return follow("/") }

func follow(root string) int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		if n := container(root); n > 0 {
			debug.SetMemoryLimit(n / 100 * share)
		}
	}
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 {
		return n
	}
	return 0
}

// GiveBack returns to the system what the process has no use for: starting takes several times
// the memory that serving does, and the runtime would keep it for minutes; and most of the
// program itself is never run again. It takes some tens of milliseconds of CPU, beside whatever
// runs; nobody waits for it.
func GiveBack() {
	go func() {
		debug.FreeOSMemory()
		unload(0)
	}()
}

// container is the least limit of the control groups this process is in; 0: none.
// root is where /proc and /sys are.
func container(root string) int64 {
	f, err := os.Open(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	least := int64(0)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// hierarchy:controllers:path; no controllers: version 2.
		part := strings.SplitN(lines.Text(), ":", 3)
		if len(part) < 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		switch {
		case part[1] == "":
		case strings.Contains(","+part[1]+",", ",memory,"):
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be that of the host, of which only the end,
		// or nothing, is mounted.
		for at := path.Clean("/" + part[2]); ; at = path.Dir(at) {
			if n := read(filepath.Join(root, dir, at, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// unlimited is where version 1 writes a number for no limit: the largest one in pages.
const unlimited = 1 << 60

func read(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n >= unlimited { // "max"
		return 0
	}
	return n
}
