package mem

// Queue is bytes on their way from one goroutine to another, in pooled buffers. A
// lock of its users' guards it. The zero value is empty.
type Queue struct {
	parts []part
	lent  bool // the first part holds what Next has returned
}

// part is buf[r:w].
type part struct {
	buf  []byte
	r, w int
}

// Put appends a copy of p.
func (q *Queue) Put(p []byte) {
	for len(p) > 0 {
		n := len(q.parts)
		if n == 0 || q.parts[n-1].w == len(q.parts[n-1].buf) {
			buf := GetSmall
			if len(p) > Small {
				buf = GetLarge
			}
			q.parts = append(q.parts, part{buf: buf()})
			n++
		}
		last := &q.parts[n-1]
		k := copy(last.buf[last.w:], p)
		last.w += k
		p = p[k:]
	}
}

// Next takes the first bytes and returns them, nil when there are none. They are
// good until the following call that takes any; Put may be called meanwhile.
func (q *Queue) Next() []byte {
	q.giveBack()
	if len(q.parts) == 0 {
		return nil
	}
	first := &q.parts[0]
	p := first.buf[first.r:first.w]
	first.r, q.lent = first.w, true
	return p
}

// Empty reports whether there are no bytes left to take.
func (q *Queue) Empty() bool {
	return len(q.parts) == 0 || len(q.parts) == 1 && q.parts[0].r == q.parts[0].w
}

// Read takes the first bytes into p and returns how many.
func (q *Queue) Read(p []byte) (n int) {
	for n < len(p) {
		q.giveBack()
		if len(q.parts) == 0 {
			break
		}
		first := &q.parts[0]
		k := copy(p[n:], first.buf[first.r:first.w])
		first.r += k
		n += k
		q.lent = first.r == first.w
	}
	q.giveBack()
	return n
}

// giveBack ends the loan of what Next has returned.
func (q *Queue) giveBack() {
	if !q.lent {
		return
	}
	q.lent = false
	if first := &q.parts[0]; first.r == first.w {
		put(first.buf)
		n := copy(q.parts, q.parts[1:])
		q.parts[n] = part{}
		q.parts = q.parts[:n]
	}
}

// Drop empties the queue and returns how many bytes nobody has taken.
func (q *Queue) Drop() (n int) {
	for i := range q.parts {
		n += q.parts[i].w - q.parts[i].r
		put(q.parts[i].buf)
		q.parts[i] = part{}
	}
	q.parts, q.lent = q.parts[:0], false
	return n
}

func put(b []byte) {
	if cap(b) == Small {
		PutSmall(b)
	} else {
		PutLarge(b)
	}
}
