//go:build linux

// Package link speaks rtnetlink: links, addresses and routes of a network
// namespace, from outside it. It is the only importer of the netlink library.
package link

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
)

// The kinds of error that callers act on.
var (
	ErrNotFound = errors.New("no such link")
	ErrExists   = errors.New("already exists")
	// ErrUnsupported: the kernel cannot make such a thing.
	ErrUnsupported = errors.New("this kernel has no such kind of link")
	// ErrBusy: the link is used in another way already.
	ErrBusy = errors.New("link is in use otherwise")
)

const (
	// answerTimeout ends a wait for the kernel's answer. A move takes 30 ms;
	// a crowd of them queue for one kernel lock.
	answerTimeout = 30 // seconds
	// dumpTries is how often a listing that changed under us is begun again.
	dumpTries = 20
)

// native is read before any goroutine runs, because the library finds it out
// on the first call, unguarded.
var native = nl.NativeEndian()

// A Handle is an rtnetlink socket in one namespace. It is opened inside and
// used from outside, by any number of goroutines.
type Handle struct {
	ns      *netns.Namespace
	sockets map[int]*nl.SocketHandle
	sent    struct{ reads, dumps, writes atomic.Int64 }
	naming  sync.Mutex // held while the socket is bound to a link
}

// Messages counts what a handle has sent: questions for one object, listings
// and changes.
type Messages struct{ Reads, Dumps, Writes int }

// Messages says what the handle has sent so far. Tests hold the code to it:
// each message costs the kernel's one lock for links.
func (h *Handle) Messages() Messages {
	return Messages{int(h.sent.reads.Load()), int(h.sent.dumps.Load()), int(h.sent.writes.Load())}
}

// Open opens a handle in ns, which must stay open until Close.
func Open(ns *netns.Namespace) (*Handle, error) {
	var socket *nl.NetlinkSocket
	err := ns.Do(func() (err error) {
		socket, err = nl.Subscribe(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink socket in %s: %w", ns.ID(), err)
	}
	_ = socket.SetSendTimeout(&unix.Timeval{Sec: answerTimeout}) // never fails
	_ = socket.SetReceiveTimeout(&unix.Timeval{Sec: answerTimeout})
	if err := socket.SetExtAck(true); err != nil { // errors with the kernel's own words
		socket.Close()
		return nil, fmt.Errorf("set up netlink socket in %s: %w", ns.ID(), err)
	}
	// The map keeps the socket after Close, so that a late request fails: the
	// library would otherwise open another one in our own namespace.
	return &Handle{ns: ns, sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}}, nil
}

// Namespace is where the handle works.
func (h *Handle) Namespace() *netns.Namespace { return h.ns }

// Close lets the socket go. The namespace stays open.
func (h *Handle) Close() { h.sockets[unix.NETLINK_ROUTE].Socket.Close() }

// get asks for one object.
func (h *Handle) get(req *nl.NetlinkRequest) ([][]byte, error) {
	for {
		h.sent.reads.Add(1)
		msgs, err := h.execute(req, 0)
		if !errors.Is(err, unix.EINTR) {
			return msgs, err
		}
	}
}

// dump lists objects, and begins again when the kernel says that the table
// changed meanwhile: what it gave is then neither complete nor consistent.
func (h *Handle) dump(req *nl.NetlinkRequest, answer uint16) ([][]byte, error) {
	req.Flags |= unix.NLM_F_DUMP
	var err error
	for range dumpTries {
		h.sent.dumps.Add(1)
		var msgs [][]byte
		msgs, err = h.execute(req, answer)
		if err == nil {
			return msgs, nil
		}
		if !errors.Is(err, nl.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("begun %d times: %w", dumpTries, err)
}

// write changes something, once: whether an interrupted change took place is
// for the caller to look up.
func (h *Handle) write(req *nl.NetlinkRequest) error {
	req.Flags |= unix.NLM_F_ACK
	h.sent.writes.Add(1)
	_, err := h.execute(req, 0)
	switch {
	case errors.Is(err, unix.ENODEV):
		return ErrNotFound
	case errors.Is(err, unix.EEXIST):
		return ErrExists
	}
	return err
}

func (h *Handle) execute(req *nl.NetlinkRequest, answer uint16) ([][]byte, error) {
	req.Sockets = h.sockets
	msgs, err := req.Execute(unix.NETLINK_ROUTE, answer)
	if errors.Is(err, unix.EAGAIN) {
		return nil, fmt.Errorf("no answer from the kernel within %d s", answerTimeout)
	}
	return msgs, err
}
