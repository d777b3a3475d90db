package peer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where things run: what is measured has a CPU of its own.
const (
	ProxyCPU = "0"
	LoadCPU  = "1"
	BothCPUs = "0,1"
	AnyCPU   = ""
)

// Process is a program under way, and the children it starts.
type Process struct {
	cmd  *exec.Cmd
	log  string // file with its output
	done chan struct{}
}

// Launch starts argv on the CPUs given. Its output goes to a file in dir. Stop
// ends it.
func Launch(dir, cpus string, env []string, argv ...string) (*Process, error) {
	if err := uncache(argv[0]); err != nil {
		return nil, err
	}
	if cpus != AnyCPU {
		argv = append([]string{"taskset", "-c", cpus}, argv...)
	}
	out, err := os.CreateTemp(dir, filepath.Base(argv[len(argv)-1])+"-*.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), log: out.Name(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own, so that stop reaches what it started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", strings.Join(argv, " "), err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// uncache has a program be read from the disk again. How many pages of it are mapped, and
// count as resident, for each that is used depends on how it came into the page cache: of
// one that was compiled a moment ago it can be half as many again.
func uncache(program string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not on the disk yet stays
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// Stop ends the process and its group, politely for five seconds.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.done
}

// PID is of the process that Launch started.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is how the process ended, once Done is closed; -1 if by a signal.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Failure is an error with the end of the process's output.
func (p *Process) Failure(what string) error {
	out, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %s; its last output:\n%s", p.cmd.Path, what, out[max(0, len(out)-2000):])
}

// Opened waits until something listens at addr.
func (p *Process) Opened(ctx context.Context, addr string) error {
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.Failure("ended at once")
		case <-time.After(5 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return nil
		}
	}
	return p.Failure("does not listen at " + addr)
}

// CPU is the time that the process and its children have run so far: what the
// scheduler counted, in nanoseconds, not in ticks.
func (p *Process) CPU() (sum time.Duration, err error) {
	err = p.each(func(proc string) error {
		tasks, err := filepath.Glob(proc + "/task/*/schedstat")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			text, err := os.ReadFile(t)
			if err != nil {
				continue // the thread has just ended
			}
			ran, err := schedstat(text)
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			sum += ran
		}
		return nil
	})
	return sum, err
}

// schedstat reads "ran waited slices", the first two in nanoseconds.
func schedstat(text []byte) (time.Duration, error) {
	fields := bytes.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("%q is not what schedstat holds", text)
	}
	ns, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return time.Duration(ns), err
}

// Memory is the resident bytes of the process and its children. Pages that they
// share count once: that is what Pss is.
func (p *Process) Memory() (sum int64, err error) {
	err = p.each(func(proc string) error {
		text, err := os.ReadFile(proc + "/smaps_rollup")
		if err != nil {
			return err
		}
		n, err := pss(text)
		sum += n
		return err
	})
	return sum, err
}

// pss reads the line "Pss:   1234 kB".
func pss(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "Pss:" {
			kb, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss in smaps_rollup")
}

// each calls f with the /proc folder of the process and of each child.
func (p *Process) each(f func(proc string) error) error {
	proc := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	if err := f(proc); err != nil {
		return err
	}
	lists, err := filepath.Glob(proc + "/task/*/children")
	if err != nil {
		return err
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has just ended
		}
		for _, child := range strings.Fields(string(children)) {
			if err := f("/proc/" + child); err != nil {
				return err
			}
		}
	}
	return nil
}

// FreePorts returns loopback ports that nothing listens on.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only at the end, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Local is a port on loopback as an address.
func Local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
