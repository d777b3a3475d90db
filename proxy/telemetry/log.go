package telemetry

import (
	"bufio"
	"io"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// logQueue is how many lines may wait for the writer: 4 MiB of them.
const logQueue = 1024

// Log is the access log: one JSON object a line. Requests put a finished line
// in a queue and go on; one goroutine writes. When the queue is full, lines are
// dropped and counted. A nil Log logs nothing.
type Log struct {
	threshold uint64 // a random number below it is logged
	queue     chan []byte
	stop      chan struct{}
	stopped   chan struct{}
	dropped   *atomic.Uint64
}

// NewLog starts a log that writes the given share of requests, 0 to 1, to w.
// Close ends it.
func NewLog(w io.Writer, share float64, dropped *atomic.Uint64) *Log {
	l := &Log{queue: make(chan []byte, logQueue), stop: make(chan struct{}), stopped: make(chan struct{}), dropped: dropped}
	switch {
	case share >= 1:
		l.threshold = math.MaxUint64
	case share > 0:
		l.threshold = uint64(share * math.MaxUint64)
	}
	go l.write(w)
	return l
}

// Record logs x, which is finished, if it is in the sample.
func (l *Log) Record(x *exchange.Exchange, duration time.Duration) {
	if l == nil || l.threshold == 0 || l.threshold != math.MaxUint64 && rand.Uint64() >= l.threshold {
		return
	}
	line := appendLine(mem.GetSmall()[:0], x, duration)
	select {
	case l.queue <- line:
	default:
		l.dropped.Add(1)
		mem.PutSmall(line)
	}
}

// Close writes what is queued and ends the log. Lines recorded later are lost.
func (l *Log) Close() {
	if l == nil {
		return
	}
	close(l.stop)
	<-l.stopped
}

func (l *Log) write(w io.Writer) {
	defer close(l.stopped)
	out := bufio.NewWriterSize(w, mem.Large)
	waiting := uint64(0) // lines in out
	put := func(line []byte) {
		_, err := out.Write(line)
		if waiting++; err == nil && out.Buffered() <= len(line) { // those before were written to make room
			waiting = 1
		}
		mem.PutSmall(line)
		if err == nil && len(l.queue) == 0 {
			if err = out.Flush(); err == nil {
				waiting = 0
			}
		}
		if err != nil { // bufio keeps an error: start over with the next line
			l.dropped.Add(waiting)
			waiting = 0
			out.Reset(w)
		}
	}
	for {
		select {
		case line := <-l.queue:
			put(line)
		case <-l.stop:
			for len(l.queue) > 0 {
				put(<-l.queue)
			}
			return
		}
	}
}
