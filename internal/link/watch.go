//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
)

// A Watch says that something about the links of a namespace changed. What it
// was is for the listener to read afresh, so that no lost event matters.
type Watch struct {
	// C gets a value after changes, at most one being kept. It is closed when
	// the socket breaks, and by Close.
	C      <-chan struct{}
	socket *nl.NetlinkSocket
	done   chan struct{}
}

// Subscribe starts a watch: changes after its return are not missed. It holds
// a goroutine until Close.
func Subscribe(ns *netns.Namespace) (*Watch, error) {
	var socket *nl.NetlinkSocket
	err := ns.Do(func() (err error) {
		socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to links of %s: %w", ns.ID(), err)
	}
	wake := make(chan struct{}, 1)
	w := &Watch{C: wake, socket: socket, done: make(chan struct{})}
	go w.run(wake)
	return w, nil
}

// Close ends the watch and waits for its goroutine.
func (w *Watch) Close() {
	w.socket.Close()
	<-w.done
}

func (w *Watch) run(wake chan<- struct{}) {
	defer close(w.done)
	defer close(wake)
	for {
		_, from, err := w.socket.Receive()
		lost := errors.Is(err, unix.ENOBUFS) // events came too fast: something did change
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !lost {
			return
		}
		if !lost && from.Pid != nl.PidKernel {
			continue
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
