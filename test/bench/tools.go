package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// need finds a program, or installs the Debian package of that name if it may.
// The error is a sentence that says what to do.
func (b *bench) need(ctx context.Context, program string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	_, noApt := exec.LookPath("apt-get")
	if !b.install || noApt != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is not installed; install the package %s, or run as root on Debian or Ubuntu", program, program)
	}
	progress("installing %s with apt-get", program)
	for _, args := range [][]string{{"update", "-q"}, {"install", "-q", "-y", "--no-install-recommends", program}} {
		c := exec.CommandContext(ctx, "apt-get", args...)
		// RUNLEVEL=1 keeps the package from starting a service.
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out[max(0, len(out)-500):])
		}
	}
	_, err := exec.LookPath(program)
	return err
}
