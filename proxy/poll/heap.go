package poll

// heap is the entries that have a time, the earliest first: each is no earlier
// than the one at half its place. Places count from 1, so that an entry with place
// 0 is in no heap.
type heap []*Entry

func (h *heap) add(e *Entry) {
	*h = append(*h, e)
	h.up(len(*h))
}

// remove takes e out, if it is there.
func (h *heap) remove(e *Entry) {
	if e.at == 0 {
		return
	}
	at, last := e.at, (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	e.at, e.due = 0, 0
	if last != e {
		h.put(last, at)
		h.down(at)
		h.up(last.at)
	}
}

// due takes out and returns an entry whose time has come; nil when there is none.
func (h *heap) due(now int64) *Entry {
	if len(*h) == 0 || (*h)[0].due > now {
		return nil
	}
	e := (*h)[0]
	h.remove(e)
	return e
}

func (h heap) put(e *Entry, at int) { h[at-1], e.at = e, at }

func (h heap) up(at int) {
	e := h[at-1]
	for ; at > 1 && h[at/2-1].due > e.due; at /= 2 {
		h.put(h[at/2-1], at)
	}
	h.put(e, at)
}

func (h heap) down(at int) {
	e := h[at-1]
	for {
		child := 2 * at
		if child > len(h) {
			break
		}
		if child < len(h) && h[child].due < h[child-1].due {
			child++
		}
		if h[child-1].due >= e.due {
			break
		}
		h.put(h[child-1], at)
		at = child
	}
	h.put(e, at)
}
