package http2

import "time"

// buckets is how many lists the open streams are kept in: a power of two near the
// most a connection usually has.
const buckets = 64

// remembered is how many streams that have ended are told apart.
const remembered = 128

// streams is those of one connection whose handler has not returned.
type streams struct {
	buckets [buckets]*stream
	open    int
	over    int       // of those, the ones that the client does not count any more
	since   time.Time // when open became 0
	ended   [remembered]ending
	next    uint8 // of ended
}

// ending is how a stream ended.
type ending struct {
	id     uint32
	ours   bool // by us, so that the client may have sent on without knowing
	theirs bool // reset by the client
}

func (s *streams) at(id uint32) **stream { return &s.buckets[id>>1%buckets] }

// find returns an open stream, nil if there is none of that id.
func (s *streams) find(id uint32) *stream {
	st := *s.at(id)
	for st != nil && st.id != id {
		st = st.next
	}
	return st
}

func (s *streams) add(st *stream) {
	at := s.at(st.id)
	st.next = *at
	*at = st
	s.open++
}

// remove takes st out and remembers how it ended.
func (s *streams) remove(st *stream) {
	at := s.at(st.id)
	for *at != st {
		at = &(*at).next
	}
	*at = st.next
	st.next = nil
	s.note(ending{st.id, st.ours, st.gone && !st.ours})
	if st.over {
		s.over--
	}
	if s.open--; s.open == 0 {
		s.since = time.Now()
	}
}

// settle has st count as over once both sides have sent all, or one has reset it: a
// client that is quick begins another in its place before the handler has returned.
func (s *streams) settle(st *stream) {
	if !st.over && (st.gone || st.closed && st.writer.sent) {
		st.over = true
		s.over++
	}
}

// taken reports whether there are as many streams as the client knows there may be.
func (s *streams) taken(most int) bool { return s.open-s.over >= most }

// full reports whether there are as many streams as there may be, or as many again whose
// handlers have yet to return.
func (s *streams) full(most int) bool { return s.taken(most) || s.open >= 2*most }

// note remembers the end of a stream.
func (s *streams) note(e ending) {
	s.ended[s.next%remembered] = e
	s.next++
}

// recall returns how a stream ended; nil when that is long ago, or it never was.
func (s *streams) recall(id uint32) *ending {
	for i := range s.ended {
		if s.ended[i].id == id {
			return &s.ended[i]
		}
	}
	return nil
}

func (s *streams) each(f func(*stream)) {
	for _, st := range s.buckets {
		for st != nil {
			next := st.next
			f(st)
			st = next
		}
	}
}
