package poll

import (
	"syscall"
	"unsafe"
)

// Available says whether New works.
const Available = true

const (
	ctlAdd    = syscall.EPOLL_CTL_ADD
	ctlModify = syscall.EPOLL_CTL_MOD
	ctlRemove = syscall.EPOLL_CTL_DEL
)

const edge = 1 << 31 // EPOLLET, which package syscall makes negative

// event is what the kernel tells. Its data, 64 bits of ours, are a slot and its
// turn.
type event struct{ syscall.EpollEvent }

func newEvent(events, slot, turn uint32) *event {
	return &event{syscall.EpollEvent{Events: events, Fd: int32(slot), Pad: int32(turn)}}
}

func (ev *event) place() (slot, turn uint32) { return uint32(ev.Fd), uint32(ev.Pad) }

func (ev *event) told() (e Events) {
	if ev.Events&syscall.EPOLLIN != 0 {
		e |= Readable
	}
	if ev.Events&syscall.EPOLLOUT != 0 {
		e |= Writable
	}
	if ev.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		e |= Ended
	}
	if ev.Events&syscall.EPOLLERR != 0 {
		e |= Broken
	}
	return e
}

func mask(w Wants) uint32 {
	m := uint32(edge | syscall.EPOLLRDHUP)
	if w&Read != 0 {
		m |= syscall.EPOLLIN
	}
	if w&Write != 0 {
		m |= syscall.EPOLLOUT
	}
	if w&Once != 0 {
		m |= syscall.EPOLLONESHOT
	}
	return m
}

// create returns an empty set. It is made non-blocking, which means nothing to
// epoll, because os.NewFile gives only such descriptors to the runtime's poller.
func create() (int, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	return fd, err
}

func control(set, op, fd int, ev *event) error {
	return syscall.EpollCtl(set, op, fd, &ev.EpollEvent)
}

// wait fetches the events that are there. It returns at once, so that the
// scheduler need not hear of it: that is what RawSyscall leaves out.
func wait(set int, events []event) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(set), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			return 0
		}
	}
}
