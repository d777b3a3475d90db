package wire

// Bounds of what is remembered of a connection's head; a longer one is not.
const (
	maxSeenText  = 4 << 10
	maxSeenLines = 64
)

// line is a field line taken apart; its parts are counted from its start.
type line struct {
	size     int32 // with its CR LF
	name     int32
	from, to int32 // the value
	kind     kind
	asCame   bool // a field's Line: there is one space before the value and none behind
}

// Seen is the field lines of the last head of one sort, requests or answers, on one
// connection. Most lines come again with the next head: those are known by a
// comparison, and need not be looked at byte by byte.
//
// The zero value knows none. It remembers from the second head on, for many
// connections carry one only.
type Seen struct {
	text  []byte // the section: the lines, one behind the other, and the empty one
	lines []line
	more  bool // there has been a head

	// Of the head being read.
	at, n int  // what comes next, in text and in lines
	news  bool // lines has some that text has not
}

// same returns the lines of the last head and the size of their section if b begins
// with all of it.
func (s *Seen) same(b []byte) ([]line, int) {
	n := len(s.text)
	if len(b) < n || string(b[:n]) != string(s.text) {
		return nil, 0
	}
	return s.lines, n
}

// next returns the line that b begins with if it is what came at this place
// before, else nil.
func (s *Seen) next(b []byte) *line {
	if s == nil || s.n >= len(s.lines) {
		return nil
	}
	l := &s.lines[s.n]
	end := s.at + int(l.size)
	was := s.text[s.at:end]
	if len(b) < len(was) || string(b[:len(was)]) != string(was) {
		return nil
	}
	s.at, s.n = end, s.n+1
	return l
}

// learn takes the line that came where next knew none.
func (s *Seen) learn(l *line) {
	switch {
	case s == nil:
		return
	case s.n < len(s.lines):
		s.at += int(s.lines[s.n].size)
		s.lines[s.n] = *l
	case s.more && s.n < maxSeenLines:
		s.lines = append(s.lines, *l)
	}
	s.n++
	s.news = true
}

// keep ends a head of that field section, empty if it was not whole, or bad.
func (s *Seen) keep(section []byte) {
	n, news := s.n, s.news
	s.at, s.n, s.news = 0, 0, false
	switch {
	case len(section) == 0 && !news:
		return
	case len(section) == 0, len(section) > maxSeenText, n > len(s.lines):
		s.text, s.lines = s.text[:0], s.lines[:0]
	default:
		s.text, s.lines = append(s.text[:0], section...), s.lines[:n]
	}
	s.more = s.more || len(section) > 0
}
