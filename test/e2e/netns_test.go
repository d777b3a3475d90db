//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// network is a network that connections are opened in: that of a process, or our own where it is nil.
type network struct{ ns *os.File }

// networkOf is the network of a process. It can be used after the process has ended.
func networkOf(pid int) (*network, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	return &network{ns}, err
}

// same says whether both are one network.
func (n *network) same(other *network) bool {
	a, err := n.ns.Stat()
	b, err2 := other.ns.Stat()
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// dial is what net.Dialer.DialContext is. The address must be an IP address: names are looked up elsewhere.
func (n *network) dial(ctx context.Context, proto, address string) (c net.Conn, err error) {
	n.enter(func() { c, err = new(net.Dialer).DialContext(ctx, proto, address) })
	return c, err
}

func (n *network) listen(address string) (l net.Listener, err error) {
	n.enter(func() { l, err = net.Listen("tcp", address) })
	return l, err
}

// enter runs do inside. A socket belongs to the network of the thread that made it, wherever it is used.
func (n *network) enter(do func()) {
	if n == nil {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("entering the cluster's network: %v; the tests must run as root", err))
		}
		do()
	}()
	<-done
}

// command is a command that runs inside.
func (n *network) command(name string, args ...string) []string {
	if n == nil {
		return append([]string{name}, args...)
	}
	return append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.ns.Fd()), "--", name}, args...)
}
