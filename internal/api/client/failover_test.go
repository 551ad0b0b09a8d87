package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// door is one address of a controller that notes who comes.
type door struct {
	address string
	calls   atomic.Int32
	stop    func()
}

// open serves a controller that knows how to say hello, and watches that beat.
func open(t *testing.T, ln net.Listener, address string) *door {
	t.Helper()
	d := &door{address: address}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.calls.Add(1)
		if r.Method == http.MethodPut {
			fmt.Fprint(w, `{"session":1}`)
			return
		}
		fmt.Fprintf(w, "data: {\"revision\":%d}\n\n", d.calls.Load())
		for r.Context().Err() == nil {
			fmt.Fprint(w, ": still here\n\n")
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	d.stop = sync.OnceFunc(func() { srv.Close(); <-done })
	t.Cleanup(d.stop)
	return d
}

func openUnix(t *testing.T, path string) *door {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, ln, "unix://"+path)
}

// Addresses are tried in order, one that answers is kept, and after the last
// comes the first.
func TestAddressesInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	firstPath := filepath.Join(dir, "1")
	second := openUnix(t, filepath.Join(dir, "2"))
	third := openUnix(t, filepath.Join(dir, "3"))
	c, err := client.Open(client.Options{Addresses: []string{"unix://" + firstPath, second.address, third.address}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hello := func() error {
		_, err := c.Hello(t.Context(), "n1", nic.Inventory{})
		return err
	}
	if err := hello(); err != nil || second.calls.Load() != 1 {
		t.Errorf("with the first away: %v, %d calls of the second", err, second.calls.Load())
	}
	first := openUnix(t, firstPath)
	if err := hello(); err != nil || second.calls.Load() != 2 || first.calls.Load() != 0 {
		t.Errorf("one that answers is kept: %v, %d and %d", err, first.calls.Load(), second.calls.Load())
	}
	second.stop()
	for hello() != nil { // the broken connection is one call's trouble
	}
	if third.calls.Load() == 0 {
		t.Error("the third was not tried after the second")
	}
	third.stop()
	for hello() != nil {
	}
	if first.calls.Load() == 0 {
		t.Error("the first was not tried after the third")
	}
	first.stop()
	hello()
	for _, address := range []string{first.address, second.address, third.address} {
		if err = hello(); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), address) {
			t.Errorf("all away: %v, want ErrUnreachable at %s", err, address)
		}
	}
}

// A controller that is gone without a word, with its machine or the way to it,
// is left for the next address once its heartbeats are missed.
func TestVanishedControllerIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := certs.New(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	node, err := ca.Node("n1")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := mtls.Listen(plain, mtls.Files(server), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	remote := open(t, ln, "")
	road := newRoad(t, plain.Addr().String())
	near := openUnix(t, filepath.Join(dir, "s"))
	c, err := client.Open(client.Options{
		Addresses: []string{"https://" + road.ln.Addr().String(), near.address}, TLS: mtls.Files(node),
		Silence: 2 * time.Second, // a busy machine may well keep a heartbeat for a while
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan uint64, 64), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, "n1", 0, func(r uint64) { changes <- r }) }()
	<-changes
	if remote.calls.Load() != 1 || near.calls.Load() != 0 {
		t.Errorf("at first %d and %d calls", remote.calls.Load(), near.calls.Load())
	}
	road.cut()
	began := time.Now()
	<-changes
	if took := time.Since(began); near.calls.Load() == 0 || took > time.Minute { // TCP itself would wait a quarter of an hour
		t.Errorf("%d calls at the next address after %s", near.calls.Load(), took)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// A controller that is frozen keeps its connections and answers nothing: a call that
// waits for it is answered by another one that works, and the watch goes on there.
func TestFrozenControllerIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	frozen := filepath.Join(dir, "frozen")
	ln, err := net.Listen("unix", frozen)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // the kernel takes what comes, and nobody reads it
	second := openUnix(t, filepath.Join(dir, "2"))
	c, err := client.Open(client.Options{Addresses: []string{"unix://" + frozen, second.address}, Silence: 10 * time.Second, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan uint64, 64), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, "n1", 0, func(r uint64) { changes <- r }) }()
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Error(err)
	}
	<-changes
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// road passes connections on until it is cut; then it holds them open and
// passes nothing, as a network does whose other end has lost its power.
type road struct {
	ln     net.Listener
	isCut  chan struct{}
	closed sync.WaitGroup
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &road{ln: ln, isCut: make(chan struct{})}
	ctx, end := context.WithCancel(context.Background())
	r.closed.Go(func() {
		for {
			here, err := ln.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				here.Close()
				continue
			}
			r.closed.Go(func() { r.carry(there, here) })
			r.closed.Go(func() { r.carry(here, there) })
			context.AfterFunc(ctx, func() { here.Close(); there.Close() })
		}
	})
	t.Cleanup(func() { ln.Close(); end(); r.closed.Wait() })
	return r
}

func (r *road) cut() { close(r.isCut) }

func (r *road) carry(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-r.isCut: // swallowed
		default:
			if _, err := to.Write(buf[:n]); err != nil && !errors.Is(err, io.EOF) {
				return
			}
		}
	}
}
