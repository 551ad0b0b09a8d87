package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/relay"
	"github.com/nicferry/nicferry/nic"
)

// A ferryman is a controller with the agents of two nodes, over TLS.
type ferryman struct {
	*tlsController
	n1, n2 *client.Client
	shut   *atomic.Pointer[string] // whom nobody trusts any longer
}

// doubt is a Trust that shuts a node out.
type doubt struct {
	server.Trust
	shut *atomic.Pointer[string]
}

func (d doubt) Check(_ context.Context, peer mtls.Peer) error {
	if out := d.shut.Load(); out != nil && peer.Itself(*out) {
		return &api.Error{Code: api.CodeRefused, Message: "nobody trusts " + *out}
	}
	return nil
}

func startFerry(t *testing.T, edit ...func(*server.Options)) *ferryman {
	t.Helper()
	shut := &atomic.Pointer[string]{}
	ctl := startTLS(t, append(edit, func(o *server.Options) { o.Trust, o.Heartbeat = doubt{o.Trust, shut}, 20*time.Millisecond })...)
	return &ferryman{tlsController: ctl, n1: ctl.agent("n1"), n2: ctl.agent("n2"), shut: shut}
}

func (c *tlsController) agent(node string) *client.Client {
	c.t.Helper()
	return c.tlsClient(issue(c.t, c.ca, certs.Leaf{File: node, CommonName: node}))
}

// An outcome is what one end of a stream has come to.
type outcome struct {
	copied nic.Copied
	err    error
}

// ferry sends from n1 to n2.
func (f *ferryman) ferry(ctx context.Context, from io.Reader, to io.Writer) (sent, taken outcome) {
	name, end := f.streams.Open("n1", "n2")
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent.copied, sent.err = f.n1.SendStream(ctx, "n1", name, from)
	}()
	taken.copied, taken.err = f.n2.TakeStream(ctx, "n2", name, to)
	<-done
	return sent, taken
}

func TestStreamsOverTLS(t *testing.T) {
	t.Parallel()
	f := startFerry(t)
	for _, size := range []int{0, 1, 100, 64 << 10, 3<<20 + 5} {
		content := bytes.Repeat([]byte("nicferry "), size/9+1)[:size]
		var got bytes.Buffer
		sent, taken := f.ferry(t.Context(), bytes.NewReader(content), &got)
		if sent.err != nil || taken.err != nil || sent.copied != taken.copied || sent.copied.Bytes != int64(size) || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%d bytes: %+v %v, %+v %v, %d taken", size, sent.copied, sent.err, taken.copied, taken.err, got.Len())
		}
	}
}

// A large stream takes no memory but that of the buffers, at all three places.
func TestALargeStreamInConstantMemory(t *testing.T) {
	const size = 256 << 20
	f := startFerry(t)
	peak, stop := heap()
	sent, taken := f.ferry(t.Context(), io.LimitReader(zeros{}, size), io.Discard)
	stop()
	if sent.err != nil || taken.err != nil || sent.copied != taken.copied || taken.copied.Bytes != size {
		t.Fatalf("%+v %v, %+v %v", sent.copied, sent.err, taken.copied, taken.err)
	}
	if grown := peak(); grown > 16<<20 {
		t.Errorf("it took %d MiB", grown>>20)
	}
}

// heap measures by how much the live heap grows.
func heap() (peak func() uint64, stop func()) {
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
				most = max(most, live())
			}
		}
	}()
	return func() uint64 { return most - min(most, before) }, func() { close(end); <-ended }
}

// zeros have no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// quiet is a source that has some text, and then waits until it is closed.
func quiet(text string) io.Reader {
	r, w := io.Pipe()
	go io.WriteString(w, text)
	return r
}

// Whatever breaks at one end, both are told in words, and nobody takes a part for
// the whole.
func TestABrokenStreamIsNoWhole(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for name, c := range map[string]struct {
		from        func() io.Reader
		to          io.Writer
		sent, taken string
	}{
		"the source breaks": {
			func() io.Reader {
				return io.MultiReader(strings.NewReader("some"), failing{errors.New("disk is broken")})
			},
			io.Discard, "read what is to be sent: disk is broken", `could not go on: "disk is broken"`,
		},
		"the sink is full":             {func() io.Reader { return zeros{} }, failing{full}, "node n2, which takes", "no space left on device"},
		"the sink is full, none comes": {func() io.Reader { return quiet("some") }, failing{full}, "node n2, which takes", "no space left on device"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, taken := startFerry(t).ferry(t.Context(), c.from(), c.to)
			if sent.err == nil || !strings.Contains(sent.err.Error(), c.sent) {
				t.Errorf("the sender is told %v", sent.err)
			}
			if taken.err == nil || !strings.Contains(taken.err.Error(), c.taken) {
				t.Errorf("the taker is told %v", taken.err)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What breaks on the way is told at both ends: the one who is gone, the controller
// that stops, the move that goes back, the node that nobody trusts any longer.
func TestAStreamBreaksOnTheWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do          func(f *ferryman, end, hangUp func())
		sent, taken string
	}{
		"the sender is gone":     {func(_ *ferryman, _, hangUp func()) { hangUp() }, "context canceled", "node n1, which sends,"}, // gone, or hung up: whichever is seen first
		"the move goes back":     {func(_ *ferryman, end, _ func()) { end() }, "the controller has ended it", "the controller has ended it"},
		"the controller stops":   {func(f *ferryman, _, _ func()) { f.Stop() }, "the controller stops", "the controller stops"},
		"the sender is shut out": {func(f *ferryman, _, _ func()) { f.shut.Store(new("n1")) }, "nobody trusts n1", "nobody trusts n1"},
		"the taker is shut out":  {func(f *ferryman, _, _ func()) { f.shut.Store(new("n2")) }, "nobody trusts n2", "nobody trusts n2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFerry(t)
			if name == "the controller stops" {
				f.n1, f.n2 = f.client(), f.client()
			}
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			stream, end := f.streams.Open("n1", "n2")
			defer end()
			sent, taken, first := make(chan error, 1), make(chan error, 1), make(firstWrite, 1)
			go func() {
				_, err := f.n1.SendStream(ctx, "n1", stream, quiet("some"))
				sent <- err
			}()
			go func() {
				_, err := f.n2.TakeStream(t.Context(), "n2", stream, first)
				taken <- err
			}()
			select {
			case <-first:
			case err := <-sent:
				t.Fatalf("not begun: %v", err)
			}
			c.do(f, end, hangUp)
			if err := <-sent; err == nil || !strings.Contains(err.Error(), c.sent) {
				t.Errorf("the sender is told %v", err)
			}
			if err := <-taken; err == nil || !strings.Contains(err.Error(), c.taken) || !strings.Contains(err.Error(), "cut off") {
				t.Errorf("the taker is told %v", err)
			}
		})
	}
}

// firstWrite tells of the first thing that is written.
type firstWrite chan struct{}

func (w firstWrite) Write(p []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(p), nil
}

// A stream is the two nodes', once; who is refused has sent nothing.
func TestStreamsOfOthers(t *testing.T) {
	t.Parallel()
	f := startFerry(t)
	name, end := f.streams.Open("n1", "n2")
	defer end()
	n3 := f.agent("n3")
	send := func(c *client.Client, node, name string) error {
		_, err := c.SendStream(t.Context(), node, name, unread{t})
		return err
	}
	take := func(c *client.Client, node, name string) error {
		_, err := c.TakeStream(t.Context(), node, name, unread{t})
		return err
	}
	for what, c := range map[string]struct {
		err  error
		want api.Code
	}{
		"another node's name, sent":  {send(n3, "n1", name), api.CodeRefused},
		"another node's name, taken": {take(n3, "n2", name), api.CodeRefused},
		"another node's, sent":       {send(n3, "n3", name), api.CodeNotFound},
		"another node's, taken":      {take(n3, "n3", name), api.CodeNotFound},
		"at the wrong end, sent":     {send(f.n2, "n2", name), api.CodeNotFound},
		"at the wrong end, taken":    {take(f.n1, "n1", name), api.CodeNotFound},
		"none":                       {take(f.n2, "n2", "str-0"), api.CodeNotFound},
		"no name":                    {take(f.n2, "n2", "../tasks"), api.CodeNotFound},
	} {
		if api.CodeOf(c.err) != c.want {
			t.Errorf("%s: %v, want %s", what, c.err, c.want)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := f.n1.SendStream(t.Context(), "n1", name, strings.NewReader("whole"))
		done <- err
	}()
	var got strings.Builder
	if _, err := f.n2.TakeStream(t.Context(), "n2", name, &got); err != nil || got.String() != "whole" {
		t.Errorf("after all that: %q, %v", got.String(), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, err := range []error{send(f.n1, "n1", name), take(f.n2, "n2", name)} {
		if !api.IsConflict(err) {
			t.Errorf("the second time: %v", err)
		}
	}
}

// unread may give its first bytes, which wait for leave to go, and takes none.
type unread struct{ t *testing.T }

func (u unread) Read(p []byte) (int, error) { return len(p), nil }

func (u unread) Write([]byte) (int, error) {
	u.t.Error("something was taken")
	return 0, errors.New("nothing is to be taken")
}

// Where nobody comes to the other end, whoever came is told so in time, and no byte
// was sent.
func TestNobodyAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	f := startFerry(t, func(o *server.Options) { o.Streams = relay.New(relay.Options{Meet: 50 * time.Millisecond}) })
	streams := f.opts.Streams.(*relay.Relay)
	for node, try := range map[string]func(name string) error{
		"n2": func(name string) error { _, err := f.n1.SendStream(t.Context(), "n1", name, zeros{}); return err },
		"n1": func(name string) error { _, err := f.n2.TakeStream(t.Context(), "n2", name, unread{t}); return err },
	} {
		name, end := streams.Open("n1", "n2")
		if err := try(name); err == nil || !strings.Contains(err.Error(), "broke after 0 bytes: node "+node+" did not come") {
			t.Errorf("without %s: %v", node, err)
		}
		end()
	}
}

// A stream holds no turn, and is no large body: more of them than there are turns,
// and a node calls as before. That it takes long is not measured as a call's time.
func TestStreamsHoldNoTurn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	stayed := map[string]int{}
	f := startFerry(t, func(o *server.Options) {
		o.Requested = func(operation string, _ int, _ time.Duration, stays bool) {
			mu.Lock()
			defer mu.Unlock()
			if stays {
				stayed[operation]++
			}
		}
	})
	const many = 20
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var under []firstWrite
	for range many {
		name, end := f.streams.Open("n1", "n2")
		defer end()
		first := make(firstWrite, 1)
		under = append(under, first)
		all.Go(func() { f.n1.SendStream(ctx, "n1", name, quiet("some")) })
		all.Go(func() { f.n2.TakeStream(ctx, "n2", name, first) })
	}
	for _, first := range under {
		<-first
	}
	for _, c := range []struct {
		c    *client.Client
		node string
	}{{f.n1, "n1"}, {f.n2, "n2"}} {
		n, err := c.c.Hello(t.Context(), c.node, nic.Inventory{})
		if err == nil {
			err = c.c.Report(t.Context(), c.node, nic.NodeReport{Session: n.Session})
		}
		if err != nil {
			t.Errorf("%s calls: %v", c.node, err)
		}
	}
	cancel()
	all.Wait()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		ended := stayed["send-stream"] == many && stayed["take-stream"] == many && len(stayed) == 2
		mu.Unlock()
		if ended {
			return
		}
	}
	t.Errorf("told were %v", stayed)
}
