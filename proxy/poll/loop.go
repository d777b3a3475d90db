package poll

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	batch  = 128                   // events fetched at a time
	stint  = batch                 // events before others get a turn, where all that are there have been fetched
	most   = 8 * batch             // the same where more are there
	coarse = 50 * time.Millisecond // how late Due may come
)

// Loop is an epoll set and the goroutine that attends to it.
type Loop struct {
	file   *os.File // the epoll set
	raw    syscall.RawConn
	fd     int
	start  time.Time
	now    time.Time // of these batches; zero when nobody has asked
	events [batch]event
	kept   keeping
	ended  chan struct{}

	mu      sync.Mutex
	slots   []slot
	free    []uint32 // slots without an entry
	heap    heap     // entries with a time
	armed   int64    // when the goroutine wakes for them; 0: not at all
	tasks   []func()
	closing bool
}

// slot is a place an event finds its entry by. The turn says whether it still is
// the one the event was meant for: descriptors and slots are used again.
type slot struct {
	entry *Entry
	turn  uint32
}

func newLoop() (*Loop, error) {
	fd, err := create()
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &Loop{
		kept: keeping{buffer: make([]byte, keep+share)}, file: os.NewFile(uintptr(fd), "epoll"), fd: fd,
		start: time.Now(), ended: make(chan struct{}),
	}
	if l.raw, err = l.file.SyscallConn(); err == nil {
		err = l.file.SetReadDeadline(time.Time{}) // fails where the runtime's poller has not taken it
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// Add makes h hear of fd, which is non-blocking and stays the caller's: it may be
// closed once Remove was called. h may be called before Add returns. fd is -1 for
// an entry that only has a time.
func (l *Loop) Add(e *Entry, fd int, want Wants, h Handler) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return ErrClosed
	}
	n := len(l.free) - 1
	if n < 0 {
		l.slots = append(l.slots, slot{})
		l.free = append(l.free, uint32(len(l.slots)-1))
		n = 0
	}
	*e = Entry{loop: l, handler: h, fd: fd, events: mask(want), slot: l.free[n]}
	at := &l.slots[e.slot]
	if fd >= 0 {
		if err := control(l.fd, ctlAdd, fd, newEvent(e.events, e.slot, at.turn)); err != nil {
			*e = Entry{}
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	at.entry = e
	l.free = l.free[:n]
	return nil
}

// Again makes h hear of what there is, as if it had been added now: of an entry
// with Once that is the next event; of others, what has not been read to its end.
func (e *Entry) Again() error {
	l := e.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	at := &l.slots[e.slot]
	if at.entry != e {
		return ErrClosed
	}
	return os.NewSyscallError("epoll_ctl", control(l.fd, ctlModify, e.fd, newEvent(e.events, e.slot, at.turn)))
}

// Remove takes e out of its loop, if it is in one. On the loop's goroutine it
// ends the calls of its handler; elsewhere one may be under way.
func (e *Entry) Remove() {
	l := e.loop
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remove(e) && e.fd >= 0 {
		l.Forget(e.fd)
	}
}

// Leave is Remove for a descriptor that is closed soon, and saves a system call: the
// kernel knows it until then. If it is not to be closed, the loop, which is returned,
// is told to Forget it.
func (e *Entry) Leave() *Loop {
	l := e.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(e)
	return l
}

// Forget makes the kernel tell nothing of fd any more.
func (l *Loop) Forget(fd int) {
	_ = control(l.fd, ctlRemove, fd, newEvent(0, 0, 0)) // closed already: just as well
}

func (l *Loop) remove(e *Entry) bool {
	at := &l.slots[e.slot]
	if at.entry != e {
		return false
	}
	l.heap.remove(e)
	at.entry = nil
	at.turn++
	l.free = append(l.free, e.slot)
	return true
}

// At makes e's handler be called with Due at t or up to 50 ms later, once; what
// was asked for before is forgotten. The zero time is never.
func (e *Entry) At(t time.Time) {
	l := e.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots[e.slot].entry != e {
		return
	}
	l.heap.remove(e)
	if t.IsZero() {
		return
	}
	e.due = max(int64(t.Sub(l.start)), 1)
	l.heap.add(e)
	l.arm(e.due)
}

// arm makes the goroutine wake at due at the latest. The deadline is set under the
// lock: it is also how Do and close wake the goroutine, and must not be overwritten.
func (l *Loop) arm(due int64) {
	if l.armed != 0 && l.armed <= due {
		return
	}
	l.armed = due
	_ = l.file.SetReadDeadline(l.start.Add(time.Duration(due))) // only a closed file has none
}

// Do makes the loop's goroutine call f soon, and reports whether it will: not once
// the Set closes.
func (l *Loop) Do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.tasks = append(l.tasks, f)
	l.arm(1)
	return true
}

// Now is the time, or that of an earlier batch of events since the loop last waited, some
// milliseconds ago at most. Only for what runs on the loop's goroutine.
func (l *Loop) Now() time.Time {
	if l.now.IsZero() {
		l.now = time.Now()
	}
	return l.now
}

func (l *Loop) run() {
	defer close(l.ended)
	onReady := l.ready
	for {
		err := l.raw.Read(onReady)
		if err == nil { // more events than it is fair to handle at once
			time.Sleep(time.Nanosecond) // not Gosched: while something can run the runtime does not look for what else has come
		} else { // Read does not look at the set while it is woken again and again
			l.ready(0)
		}
		if !l.settle() {
			return
		}
	}
}

// ready handles the events that are there. It returns false to wait for more: to be woken
// costs several times what it costs to look, so it looks again after more than one. Only
// what comes when all has been fetched wakes.
func (l *Loop) ready(uintptr) bool {
	l.now = time.Time{}
	for told := 0; told < most; {
		n := wait(l.fd, l.events[:])
		for i := range n {
			l.tell(&l.events[i])
		}
		l.kept.flush()
		told += n
		if n <= 1 || told >= stint && n < batch {
			return false
		}
	}
	return true
}

func (l *Loop) tell(ev *event) {
	index, turn := ev.place()
	var h Handler
	l.mu.Lock()
	if at := &l.slots[index]; at.entry != nil && at.turn == turn {
		h = at.entry.handler
	}
	l.mu.Unlock()
	if h != nil {
		h.Ready(ev.told())
	}
}

// settle does what is to be done beside events: tasks, and entries whose time has
// come. It is false when the loop has ended.
func (l *Loop) settle() bool {
	l.now = time.Time{}
	now := int64(l.Now().Sub(l.start))
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	closing := l.closing
	for !closing {
		e := l.heap.due(now)
		if e == nil {
			break
		}
		h := e.handler
		l.mu.Unlock()
		h.Ready(Due)
		l.mu.Lock()
	}
	l.mu.Unlock()

	for _, f := range tasks {
		f()
	}
	l.kept.flush()
	if closing { // nothing is added any more
		l.each(func(e *Entry, h Handler) {
			e.Remove()
			h.Ready(Closed)
		})
		return false
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = 0
	switch {
	case len(l.tasks) > 0 || l.closing:
		l.arm(1)
	case len(l.heap) > 0:
		l.arm(max(l.heap[0].due, now+int64(coarse)))
	default:
		_ = l.file.SetReadDeadline(time.Time{}) // only a closed file has none
	}
	return true
}

// each calls f for every entry.
func (l *Loop) each(f func(*Entry, Handler)) {
	for i := 0; ; i++ {
		l.mu.Lock()
		if i >= len(l.slots) {
			l.mu.Unlock()
			return
		}
		var h Handler
		e := l.slots[i].entry
		if e != nil {
			h = e.handler
		}
		l.mu.Unlock()
		if e != nil {
			f(e, h)
		}
	}
}

func (l *Loop) close() error {
	l.mu.Lock()
	l.closing = true
	l.armed = 0
	l.arm(1)
	l.mu.Unlock()
	<-l.ended
	return l.file.Close()
}
