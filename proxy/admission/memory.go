package admission

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// How much of the memory may be in use before no more is taken on, and how much
// at most before it is again, in percent; and how often that is looked at.
const (
	pressedAbove = 85
	easedBelow   = 75
	lookEvery    = 100 * time.Millisecond
	relieveEvery = time.Second // while there is less left
)

// Memory watches what the process uses of the memory it may have.
type Memory struct {
	limit    uint64
	used     func() uint64
	relieved time.Time
	last     atomic.Uint64
	pressed  atomic.Bool
	refused  atomic.Uint64
}

// NewMemory returns a Memory of limit bytes; not above 0: nobody knows, and it
// is never pressed. used says what cannot be given back; nil: the Go runtime does.
func NewMemory(limit int64, used func() uint64) *Memory {
	m := &Memory{limit: uint64(max(limit, 0)), used: used}
	if used == nil {
		m.used = newUsage().read
	}
	return m
}

// Run watches until ctx ends. relieve is called once a second while more is in use than
// eases it, to give up what can be before no more is taken on; it should return soon.
func (m *Memory) Run(ctx context.Context, relieve func()) {
	if m.limit == 0 {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if m.look(); m.last.Load() < m.limit/100*easedBelow || now.Sub(m.relieved) <= relieveEvery {
				continue
			}
			m.relieved = now
			relieve()
			if m.pressed.Load() {
				runtime.GC() // or nothing would tell that it is not any more
			}
		}
	}
}

func (m *Memory) look() {
	used := m.used()
	m.last.Store(used)
	switch {
	case used > m.limit/100*pressedAbove:
		m.pressed.Store(true)
	case used < m.limit/100*easedBelow:
		m.pressed.Store(false)
	}
}

// Pressed reports whether nothing more should be taken on, and counts that.
func (m *Memory) Pressed() bool {
	if !m.pressed.Load() {
		return false
	}
	m.refused.Add(1)
	return true
}

// Figures returns how much is used, in bytes.
func (m *Memory) Figures() Figures {
	return Figures{Limit: int(m.limit), In: int(m.last.Load()), Refused: m.refused.Load()}
}

// usage reads from the runtime what is in use: what the last collection left of
// the heap, and what is no heap.
type usage struct{ samples []metrics.Sample }

func newUsage() *usage {
	u := &usage{}
	for _, name := range []string{
		"/memory/classes/total:bytes", "/gc/heap/live:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes",
	} {
		u.samples = append(u.samples, metrics.Sample{Name: name})
	}
	return u
}

func (u *usage) read() uint64 {
	metrics.Read(u.samples)
	n := u.samples[0].Value.Uint64() + u.samples[1].Value.Uint64()
	for _, s := range u.samples[2:] {
		n -= s.Value.Uint64()
	}
	return n
}
