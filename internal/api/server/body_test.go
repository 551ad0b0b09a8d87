package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/pipenet"
)

// dial is a new connection to whoever accepts.
func dial(t *testing.T, ln *pipenet.Listener) net.Conn {
	t.Helper()
	conn, err := ln.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Whoever announces a body and sends none, or no end of headers, is hung up on
// in time, on every route and whoever he is.
func TestNobodyHoldsAConnection(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{
		"a body that does not come":         "POST /v1/join HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"one in pieces":                     "POST /v1/join HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
		"one that nobody reads":             "GET /v1/version HTTP/1.1\r\nHost: c\r\nContent-Length: 100\r\n\r\n",
		"one where there is no route":       "GET /nothing HTTP/1.1\r\nHost: c\r\nContent-Length: 100\r\n\r\n",
		"headers without an end":            "GET /v1/version HTTP/1.1\r\nHost: c\r\nX: ",
		"headers of more than 32 kilobytes": "GET /v1/version HTTP/1.1\r\nHost: c\r\nX: " + strings.Repeat("x", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.DiscardHandler)
				ctx, cancel := context.WithCancel(t.Context())
				ln, done := pipenet.Listen(), make(chan error, 1)
				go func() { done <- Run(ctx, ln, New(Options{Log: log}), log) }()
				conn := dial(t, ln)
				defer conn.Close()
				go io.WriteString(conn, sent)
				conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
				answer, err := io.ReadAll(conn)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("after 5 min the connection was still open; answered was %.100q", answer)
				}
				if strings.HasPrefix(name, "headers of more") && !strings.Contains(string(answer), " 431 ") {
					t.Errorf("the answer is %.100q", answer)
				}
				conn.Close()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A handler may take longer than its body may.
func TestSlowHandlersKeepTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			select {
			case <-r.Context().Done():
			case <-time.After(2 * bodyTimeout):
			}
			fmt.Fprintf(w, "%s %v %v", body, err, r.Context().Err())
		})
		ln, done := pipenet.Listen(), make(chan error, 1)
		go func() { done <- Run(ctx, ln, slow, log) }()
		conn := dial(t, ln)
		defer conn.Close()
		go io.WriteString(conn, "POST / HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: 4\r\n\r\nhere")
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(answer), "here <nil> <nil>") {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
