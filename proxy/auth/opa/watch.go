package opa

import "time"

// The bounds of one evaluation. On a machine that is so busy that it hardly runs,
// one that is not done with fewSteps has more time: it is not slow by itself.
const (
	maxTime  = 50 * time.Millisecond
	someTime = 5 * time.Millisecond
	fewSteps = 1000
	lastTime = time.Second
)

// watch ends an evaluation that takes too long. The evaluator asks it with every
// step, from one goroutine. Beyond fewSteps or someTime an evaluation goes on in its
// turn: as many of a policy at one time as are half the processors, which leaves
// some to all other requests. The wait for it does not count.
type watch struct {
	began time.Time
	steps int
	over  bool
	turns chan struct{}
	turn  bool // it is in turns
}

func newWatch(turns chan struct{}) *watch { return &watch{began: time.Now(), turns: turns} }

// Cancel implements topdown.Cancel.
func (w *watch) Cancel() { w.over = true }

// Cancelled implements topdown.Cancel. It looks at the clock now and then.
func (w *watch) Cancelled() bool {
	if w.steps++; w.steps%16 == 0 && !w.over {
		d := time.Since(w.began)
		w.over = d > maxTime && w.steps > fewSteps || d > lastTime
		if !w.over && !w.turn && (w.steps > fewSteps || d > someTime) {
			w.wait()
		}
	}
	return w.over
}

// wait waits for a turn. Where that takes too long the evaluation ends.
func (w *watch) wait() {
	begun := time.Now()
	late := time.NewTimer(lastTime)
	defer late.Stop()
	select {
	case w.turns <- struct{}{}:
		w.turn = true
		w.began = w.began.Add(time.Since(begun))
	case <-late.C:
		w.over = true
	}
}

// done gives the turn to the next.
func (w *watch) done() {
	if w.turn {
		<-w.turns
	}
}
