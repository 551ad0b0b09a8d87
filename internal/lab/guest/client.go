//go:build linux

package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/internal/netns"
)

// A DialFunc is net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DialIn dials from inside the network namespace, which must stay open.
func DialIn(ns *netns.Namespace) DialFunc {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = ns.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// A Client runs commands in one guest.
type Client struct {
	// Addr is the guest's management address. Required.
	Addr netip.Addr
	// Dial reaches it. Optional: from the network that the process is in.
	Dial DialFunc
}

// dialTime bounds one attempt to reach a guest.
const dialTime = 2 * time.Second

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", netip.AddrPortFrom(c.Addr, protocol.Port).String())
	if err != nil {
		return nil, fmt.Errorf("reach guest: %w", err)
	}
	return conn, nil
}

// AwaitUp waits until the guest serves commands. Its dockerd may still start.
func (c *Client) AwaitUp(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := c.dial(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for guest %s to serve commands: %w", c.Addr, ctx.Err()), err)
		}
	}
}

// AwaitDocker waits until the guest's dockerd answers, and returns how long
// after the start of its kernel it did first. It errs with the end of dockerd's
// log if that ended instead.
func (c *Client) AwaitDocker(ctx context.Context) (time.Duration, error) {
	result, err := c.ask(ctx, protocol.Request{Op: protocol.OpDocker}, nil)
	if err != nil {
		return 0, fmt.Errorf("wait for dockerd of guest %s: %w", c.Addr, err)
	}
	return time.Duration(result.Millis) * time.Millisecond, nil
}

// Spawn starts a command that outlives the client, with its output appended to
// a file of the guest, and returns its process id in the guest.
func (c *Client) Spawn(ctx context.Context, log string, args ...string) (int, error) {
	result, err := c.ask(ctx, protocol.Request{Op: protocol.OpSpawn, Args: args, Path: log}, nil)
	if err != nil {
		return 0, fmt.Errorf("start %q in guest %s: %w", args, c.Addr, err)
	}
	return result.PID, nil
}

// Put writes a file of the guest, which appears when it is complete, and the
// folders above it.
func (c *Client) Put(ctx context.Context, path string, mode os.FileMode, data io.Reader) error {
	if _, err := c.ask(ctx, protocol.Request{Op: protocol.OpPut, Path: path, Mode: uint32(mode.Perm())}, data); err != nil {
		return fmt.Errorf("write %s in guest %s: %w", path, c.Addr, err)
	}
	return nil
}

// Get returns a file of the guest.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	data, err := c.Command(ctx, "cat", "--", path).Output()
	if err != nil {
		return nil, fmt.Errorf("read %s in guest %s: %w", path, c.Addr, err)
	}
	return data, nil
}

// Image makes [lab.ImageName] in the guest's engine and returns its name.
func (c *Client) Image(ctx context.Context) (string, error) {
	args, archive, err := lab.ImageImport(ctx)
	if err != nil {
		return "", err
	}
	cmd := c.Command(ctx, append([]string{"docker"}, args...)...)
	cmd.Stdin = archive
	if _, err := cmd.Output(); err != nil {
		return "", fmt.Errorf("make image: %w", err)
	}
	return lab.ImageName, nil
}

// ask carries out a request that has no output.
func (c *Client) ask(ctx context.Context, req protocol.Request, stdin io.Reader) (protocol.Result, error) {
	talk, err := c.open(ctx, req)
	if err != nil {
		return protocol.Result{}, err
	}
	defer talk.close()
	if stdin != nil {
		if err := talk.send(stdin); err != nil {
			return protocol.Result{}, err
		}
	}
	return talk.finish(io.Discard, io.Discard)
}

// A talk is one conversation with a guest.
type talk struct {
	ctx  context.Context
	conn net.Conn
	out  *protocol.Writer
	stop func() bool
}

// open sends a request. The connection ends with ctx.
func (c *Client) open(ctx context.Context, req protocol.Request) (*talk, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	t := &talk{ctx: ctx, conn: conn, out: protocol.NewWriter(conn)}
	t.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if err := t.out.JSON(protocol.KindRequest, req); err != nil {
		t.close()
		return nil, t.explain(err)
	}
	return t, nil
}

func (t *talk) close() {
	t.stop()
	t.conn.Close()
}

// explain prefers the reason for which a conversation was cut off.
func (t *talk) explain(err error) error {
	switch {
	case t.ctx.Err() != nil:
		return context.Cause(t.ctx)
	case errors.Is(err, io.EOF):
		return errors.New("the guest hung up: was it turned off?")
	}
	return err
}

// send sends all of r, and its end.
func (t *talk) send(r io.Reader) error {
	if _, err := io.Copy(t.out.Stream(protocol.KindStdin), r); err != nil {
		return t.explain(err)
	}
	return t.explain(t.out.Frame(protocol.KindEOF, nil))
}

// finish reads output until the result.
func (t *talk) finish(stdout, stderr io.Writer) (protocol.Result, error) {
	for {
		kind, payload, err := protocol.ReadFrame(t.conn)
		if err != nil {
			return protocol.Result{}, t.explain(err)
		}
		switch kind {
		case protocol.KindStdout:
			_, err = stdout.Write(payload)
		case protocol.KindStderr:
			_, err = stderr.Write(payload)
		case protocol.KindResult:
			var result protocol.Result
			if err := json.Unmarshal(payload, &result); err != nil {
				return result, fmt.Errorf("read result: %w", err)
			}
			if result.Error != "" {
				return result, errors.New(result.Error)
			}
			return result, nil
		}
		if err != nil {
			return protocol.Result{}, fmt.Errorf("pass output on: %w", err)
		}
	}
}
