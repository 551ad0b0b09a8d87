package server

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// A source has so many connections at a time and no more: others have theirs, and
// one that is closed, however often, makes room for one.
func TestConnectionsOfOneSourceAreBounded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := boundSources(plain, 2, slog.New(slog.NewTextHandler(&log, nil)))
	accepted, ended := make(chan net.Conn, 16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func(from string) net.Conn {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	taken := func(from string) net.Conn {
		dial(from)
		select {
		case conn := <-accepted:
			t.Cleanup(func() { conn.Close() })
			return conn
		case <-time.After(10 * time.Second):
			t.Fatalf("one from %s is not taken", from)
			return nil
		}
	}
	refused := func(from string) {
		conn := dial(from)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 1))
		if timeout, ok := err.(net.Error); err == nil || ok && timeout.Timeout() {
			t.Errorf("one more from %s is not closed: %v", from, err)
		}
	}
	first := taken("127.0.0.1")
	taken("127.0.0.1")
	refused("127.0.0.1")
	taken("127.0.0.2")
	for range 2 {
		first.Close()
	}
	taken("127.0.0.1")
	for range 2 {
		refused("127.0.0.1")
	}
	ln.Close()
	<-ended
	if n := strings.Count(log.String(), "too many from one source"); n != 1 || !strings.Contains(log.String(), "source=127.0.0.1/32") {
		t.Errorf("it is told %d times, want once:\n%s", n, &log)
	}
}
