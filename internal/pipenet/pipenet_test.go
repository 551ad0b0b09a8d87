package pipenet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/pipenet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server on a pipe answers a client, in the bubble's time.
func TestServerAndClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, ended := pipenet.Listen(), make(chan error, 1)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Hour)
			io.WriteString(w, "here")
		})}
		go func() { ended <- server.Serve(ln) }()
		transport := &http.Transport{DialContext: ln.Dial}
		begun := time.Now()
		resp, err := (&http.Client{Transport: transport}).Get("http://anywhere.test/")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); string(text) != "here" || err != nil || time.Since(begun) != time.Hour {
			t.Errorf("%q, %v after %s", text, err, time.Since(begun))
		}
		transport.CloseIdleConnections()
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if err := ln.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed one: %v", err)
		}
		if _, err := ln.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial of a closed one: %v", err)
		}
	})
}

// Where nobody accepts, dialling lasts as long as it may.
func TestNobodyAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := pipenet.Listen().Dial(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
