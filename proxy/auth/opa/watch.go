package opa

import "time"

// The bounds of one evaluation. On a machine that is so busy that it hardly runs,
// one that is not done with fewSteps has more time: it is not slow by itself.
const (
	maxTime  = 50 * time.Millisecond
	fewSteps = 1000
	lastTime = time.Second
)

// watch ends an evaluation that takes too long. The evaluator asks it with every
// step, from one goroutine.
type watch struct {
	began time.Time
	steps int
	over  bool
}

func newWatch() *watch { return &watch{began: time.Now()} }

// Cancel implements topdown.Cancel.
func (w *watch) Cancel() { w.over = true }

// Cancelled implements topdown.Cancel. It looks at the clock now and then.
func (w *watch) Cancelled() bool {
	if w.steps++; w.steps%16 == 0 && !w.over {
		d := time.Since(w.began)
		w.over = d > maxTime && w.steps > fewSteps || d > lastTime
	}
	return w.over
}
