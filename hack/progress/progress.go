// Package progress tells whoever waits for a tool what it is at: one line for each step that takes longer than two seconds, on standard
// error. The tools of hack call it; it calls nothing.
package progress

import (
	"fmt"
	"os"
	"time"
)

const (
	quiet = 2 * time.Second  // shorter steps are not worth a line
	again = 30 * time.Second // a step that is still at it says so this often
)

// Log prints the lines of one tool, each with the seconds since it began.
type Log struct {
	tool  string
	start time.Time
}

// New starts the clock.
func New(tool string) Log { return Log{tool: tool, start: time.Now()} }

// Say prints a line.
func (l Log) Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: [%4.0fs] %s\n", l.tool, time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// Seconds is how long the tool has been running.
func (l Log) Seconds() float64 { return time.Since(l.start).Seconds() }

// Step runs do, which the title names, and puts the title in front of its error.
func (l Log) Step(title string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	next := quiet
	for began := time.Now(); ; next = again {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			return nil
		case <-time.After(next):
			if next == quiet {
				l.Say("%s …", title)
			} else {
				l.Say("%s … %.0fs", title, time.Since(began).Seconds())
			}
		}
	}
}
