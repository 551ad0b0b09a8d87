package enitest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/pipenet"
)

// A Dial connects to a server.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Serve serves a handler on pipes, so that a world can be in a bubble, and returns how to
// connect.
func Serve(t *testing.T, h http.Handler) Dial {
	ln := pipenet.Listen()
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { _ = server.Serve(ln); close(done) }() // it ends by being closed
	t.Cleanup(func() { _ = server.Close(); <-done })
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := ln.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newEager(conn), nil
	}
}

// An eager conn does not wait with its writes until they are read: net/http reads a
// request's body to its end after the last byte is written, and an SDK closes it with the
// answer.
type eager struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newEager(c net.Conn) *eager {
	e := &eager{Conn: c, out: make(chan []byte, 64), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-e.out:
				if _, err := e.Conn.Write(b); err != nil {
					return // the reader notices too
				}
			case <-e.closed:
				return
			}
		}
	}()
	return e
}

func (e *eager) Write(b []byte) (int, error) {
	select {
	case e.out <- bytes.Clone(b):
		return len(b), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *eager) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}
