package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// together makes what f does become known to p's loop in one batch of events.
func together(t *testing.T, p *pair, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !p.loop.Do(func() { f(); close(done) }) {
		t.Fatal("the loop has ended")
	}
	<-done
}

// pairs joins n pairs of connections in the same loop.
func pairs(t *testing.T, n int) (js []*joined, ps []*pair) {
	t.Helper()
	r := Relay{Idle: time.Minute, Poll: loops(t)}
	for len(js) < n {
		j := newJoined(t)
		p := r.pair(j.front, j.back, Count{In: &j.in, Out: &j.out})
		if p == nil {
			t.Fatal("no loop took them")
		}
		if len(ps) > 0 && p.loop != ps[0].loop { // the loops take turns
			p.loop.Do(p.broken)
			p.run()
			continue
		}
		js, ps = append(js, j), append(ps, p)
	}
	return js, ps
}

// TestBatch: what many connections have sent by the time the loop looks is read before it
// is sent, and all of it arrives: more than is kept at a time, pieces that are not kept, ends
// that come with data.
func TestBatch(t *testing.T) {
	js, ps := pairs(t, 40)
	size := func(i int) int { return 1 + (i*977)%(2*small) }
	piece := func(i int, c byte) []byte { return bytes.Repeat([]byte{c + byte(i%10)}, size(i)) }
	for range 3 {
		together(t, ps[0], func() {
			for i, j := range js {
				_, _ = j.client.Write(piece(i, 'a'))
				_, _ = j.backend.Write(piece(i+1, 'A'))
			}
		})
		for i, j := range js {
			reads(t, j.backend, string(piece(i, 'a')))
			reads(t, j.client, string(piece(i+1, 'A')))
		}
	}
	together(t, ps[0], func() {
		for i, j := range js {
			_, _ = j.client.Write(piece(i, 'x'))
			_ = j.client.CloseWrite()
			_, _ = j.backend.Write(piece(i+1, 'X'))
			_ = j.backend.CloseWrite()
		}
	})
	for i, j := range js {
		ends(t, j.backend, string(piece(i, 'x')))
		ends(t, j.client, string(piece(i+1, 'X')))
		if !ps[i].run() {
			t.Errorf("pair %d: broken off", i)
		}
		if in, out := j.in.Load(), j.out.Load(); in != uint64(4*size(i)) || out != uint64(4*size(i+1)) {
			t.Errorf("pair %d: counted %d in, %d out", i, in, out)
		}
	}
}

// TestBatchBroken: a pair that ends between reading and sending takes nothing of the others with it.
func TestBatchBroken(t *testing.T) {
	js, ps := pairs(t, 9)
	together(t, ps[0], func() {
		for i, j := range js {
			_, _ = io.WriteString(j.client, "ping")
			if i%3 == 0 {
				reset(j.backend)
			}
			_, _ = io.WriteString(j.backend, "pong")
			if i%3 == 1 {
				reset(j.client)
			}
		}
	})
	for i, j := range js {
		if i%3 < 2 {
			if ps[i].run() {
				t.Errorf("pair %d: not broken off", i)
			}
			continue
		}
		reads(t, j.backend, "ping")
		reads(t, j.client, "pong")
		_, _ = j.client.CloseWrite(), j.backend.CloseWrite()
		if !ps[i].run() {
			t.Errorf("pair %d: broken off", i)
		}
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// TestBatchHeld: small pieces for a side that does not read are held outside of the loop's
// buffer, and arrive in their order once it does.
func TestBatchHeld(t *testing.T) {
	js, ps := pairs(t, 4)
	e := &ps[0].ends[0]
	var sent bytes.Buffer
	state := make(chan bool, 1)
	for i := byte(0); ; i++ {
		b := bytes.Repeat([]byte{i}, small-int(i))
		write(t, js[0].client, string(b))
		sent.Write(b)
		held := false
		for range 2 { // the second looks after the events that woke the loop
			ps[0].loop.Do(func() { state <- len(e.held) > 0 && e.buf != nil && !e.kept })
			held = <-state
		}
		if held {
			break
		}
	}
	for _, j := range js[1:] { // the buffer is used again
		write(t, j.client, "others")
		reads(t, j.backend, "others")
	}
	_ = js[0].client.CloseWrite()
	got, err := io.ReadAll(js[0].backend)
	if err != nil || !bytes.Equal(got, sent.Bytes()) {
		t.Errorf("%d of %d bytes came, %v", len(got), sent.Len(), err)
	}
}
