//go:build linux

package pid1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// requestTime bounds how long a client has to say what it wants.
const requestTime = 30 * time.Second

// serve answers clients until the listener is closed.
func (m *machine) serve(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		m.work.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			if err := m.converse(ctx, conn); err != nil {
				m.log.Warn("a conversation was cut off", "error", err)
			}
		})
	}
}

// converse carries out one request.
func (m *machine) converse(ctx context.Context, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(requestTime)); err != nil {
		return fmt.Errorf("bound request: %w", err)
	}
	kind, payload, err := protocol.ReadFrame(conn)
	if errors.Is(err, io.EOF) {
		return nil // somebody looked whether we are up
	}
	if err != nil {
		return err
	}
	var req protocol.Request
	if kind != protocol.KindRequest {
		return fmt.Errorf("read request: it begins with %q", kind)
	}
	if err := json.Unmarshal(payload, &req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("bound request: %w", err)
	}
	out := protocol.NewWriter(conn)
	return out.JSON(protocol.KindResult, m.answer(ctx, req, conn, out))
}

func (m *machine) answer(ctx context.Context, req protocol.Request, in io.Reader, out *protocol.Writer) protocol.Result {
	switch {
	case (req.Op == protocol.OpRun || req.Op == protocol.OpSpawn) && len(req.Args) == 0:
		return protocol.Result{Error: "there is no command to run"}
	case req.Op == protocol.OpRun:
		return run(req, in, out)
	case req.Op == protocol.OpSpawn:
		return m.spawn(req)
	case req.Op == protocol.OpPut:
		return put(req, in)
	case req.Op == protocol.OpDocker:
		return m.awaitEngine(ctx)
	}
	return protocol.Result{Error: fmt.Sprintf("no operation is called %q", req.Op)}
}

func (m *machine) awaitEngine(ctx context.Context) protocol.Result {
	if m.docker == nil {
		return protocol.Result{Error: "the guest was booted without dockerd"}
	}
	select {
	case <-m.docker.settled:
	case <-ctx.Done():
		return protocol.Result{Error: "the guest is being turned off"}
	}
	if m.docker.err != nil {
		return protocol.Result{Error: m.docker.err.Error()}
	}
	return protocol.Result{Millis: m.docker.ready.Milliseconds()}
}

func prepare(req protocol.Request) *exec.Cmd {
	cmd := exec.Command(req.Args[0], req.Args[1:]...)
	cmd.Env = append(append(os.Environ(), "HOME=/root", "LC_ALL=C"), req.Env...)
	cmd.Dir = req.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // so that all of it can be killed
	return cmd
}

// run runs a command with its streams on the connection. When the client hangs
// up, the command and what it started are killed.
func run(req protocol.Request, in io.Reader, out *protocol.Writer) protocol.Result {
	cmd := prepare(req)
	cmd.Stdout, cmd.Stderr = out.Stream(protocol.KindStdout), out.Stream(protocol.KindStderr)
	cmd.WaitDelay = time.Second // for what a daemon it left behind holds open
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return protocol.Result{Error: err.Error()}
	}
	if err := cmd.Start(); err != nil {
		return protocol.Result{Error: err.Error()}
	}
	r := &running{cmd: cmd}
	go feed(in, stdin, r.signal)
	err = cmd.Wait()
	r.end()
	if cmd.ProcessState == nil {
		return protocol.Result{Error: err.Error()}
	}
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	result := protocol.Result{Code: cmd.ProcessState.ExitCode()}
	if status.Signaled() {
		result.Signal = status.Signal().String()
	}
	return result
}

// running guards against a signal to whoever has the process id afterwards.
type running struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	ended bool
}

func (r *running) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// signal sends a signal to the command's process group.
func (r *running) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		_ = syscall.Kill(-r.cmd.Process.Pid, sig) // all of it may have ended
	}
}

// stdinQueue is how many frames of input may wait for a command that does not
// read them: 32 MiB at most. Until then a client that hangs up is noticed.
const stdinQueue = 32 << 20 / protocol.MaxFrame

// feed carries the client's frames to the command until the client hangs up.
func feed(in io.Reader, stdin io.WriteCloser, signal func(syscall.Signal)) {
	queue := make(chan []byte, stdinQueue)
	go func() {
		for data := range queue {
			_, _ = stdin.Write(data) // a command need not read it all
		}
		_ = stdin.Close()
	}()
	closeQueue := sync.OnceFunc(func() { close(queue) })
	defer closeQueue()
	for open := true; ; {
		kind, payload, err := protocol.ReadFrame(in)
		switch {
		case err != nil:
			signal(syscall.SIGKILL)
			return
		case kind == protocol.KindStdin && open:
			queue <- payload
		case kind == protocol.KindEOF:
			open = false
			closeQueue()
		case kind == protocol.KindSignal && len(payload) == 1:
			signal(syscall.Signal(payload[0]))
		}
	}
}

// spawn starts a command that outlives the conversation.
func (m *machine) spawn(req protocol.Request) protocol.Result {
	log, err := os.OpenFile(req.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return protocol.Result{Error: err.Error()}
	}
	defer log.Close()
	cmd := prepare(req)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return protocol.Result{Error: err.Error()}
	}
	go func() {
		err := cmd.Wait()
		m.log.Info("what was spawned has ended", "command", req.Args[0], "pid", cmd.Process.Pid, "error", err)
	}()
	return protocol.Result{PID: cmd.Process.Pid}
}

// put writes what the client sends to a file that appears only when complete.
func put(req protocol.Request, in io.Reader) protocol.Result {
	if err := write(req, in); err != nil {
		return protocol.Result{Error: err.Error()}
	}
	return protocol.Result{}
}

func write(req protocol.Request, in io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(req.Path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(req.Path), ".put-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // renamed, if all went well
	defer file.Close()
	for {
		kind, payload, err := protocol.ReadFrame(in)
		if err != nil {
			return err
		}
		if kind == protocol.KindEOF {
			break
		}
		if _, err := file.Write(payload); err != nil {
			return err
		}
	}
	if err := errors.Join(file.Chmod(os.FileMode(req.Mode)&os.ModePerm), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), req.Path)
}
