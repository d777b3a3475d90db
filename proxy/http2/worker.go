package http2

import "sync"

// job is what a worker does: serve a stream, or send a connection's output.
type job interface{ run() }

// maxIdle bounds the workers that wait for jobs; further ones end.
const maxIdle = 1024

// workers keeps goroutines for jobs. Their stacks have grown to what a request
// takes, which a new goroutine's would have to do again, and the one that worked
// last comes first, for it is warm. Without connections there are none.
type workers struct {
	mu     sync.Mutex
	idle   []*worker
	closed bool
}

// worker is one goroutine; jobs takes one at a time, and is closed to end it.
type worker struct{ jobs chan job }

// start has j done, without waiting.
func (p *workers) start(j job) {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		w := &worker{jobs: make(chan job, 1)}
		go p.work(w, j)
		return
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	w.jobs <- j
}

func (p *workers) work(w *worker, j job) {
	for {
		j.run()
		if !p.wait(w) {
			return
		}
		var ok bool
		if j, ok = <-w.jobs; !ok {
			return
		}
	}
}

// wait makes w one that waits, and reports whether it should.
func (p *workers) wait(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// open lets workers wait.
func (p *workers) open() {
	p.mu.Lock()
	p.closed = false
	p.mu.Unlock()
}

// dismiss ends all workers, those at work when they are done.
func (p *workers) dismiss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for i, w := range p.idle {
		close(w.jobs)
		p.idle[i] = nil
	}
	p.idle = p.idle[:0]
}
