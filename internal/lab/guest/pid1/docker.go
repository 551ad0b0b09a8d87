//go:build linux

package pid1

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

const (
	dockerData   = "/var/lib/docker"
	dockerLog    = "/var/log/dockerd.log"
	dockerSocket = "/run/docker.sock"
	// dockerTime bounds how long dockerd's first answer is waited for. Emulated
	// guests take 12 to 25 s.
	dockerTime = 3 * time.Minute
	// dockerStop is how long containers have to end when the machine is turned off.
	dockerStop = 20 * time.Second
)

// docker is the guest's engine.
type docker struct {
	mode protocol.DockerMode
	disk string
	log  *slog.Logger

	settled chan struct{} // closed when it answered or cannot
	err     error
	ready   time.Duration // from boot
}

// dockerTries is how often dockerd is started until it answers: it gives its
// containerd a time that a guest on a busy machine may exceed, and ends then.
const dockerTries = 3

// run runs dockerd until ctx ends. It is not started again after it has
// answered: who kills it in a test starts it again, too.
func (d *docker) run(ctx context.Context) {
	var cmd *exec.Cmd
	var ended <-chan struct{}
	if d.err = d.mountData(); d.err == nil {
		for range dockerTries {
			cmd, ended, d.err = d.try(ctx)
			if !errors.Is(d.err, lab.ErrEngineEnded) {
				break
			}
			d.log.Warn("dockerd is started again", "error", d.err)
		}
	}
	if d.err != nil {
		d.err = fmt.Errorf("start dockerd: %w", d.err)
		d.log.Error("there is no engine", "error", d.err)
	} else {
		d.ready = uptime()
		d.log.Info("dockerd answers", "uptime", d.ready)
	}
	close(d.settled)
	if cmd == nil {
		return
	}
	<-ctx.Done()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(dockerStop):
	}
}

// try starts dockerd once and waits until it answers.
func (d *docker) try(ctx context.Context) (*exec.Cmd, <-chan struct{}, error) {
	cmd, err := d.start()
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := cmd.Wait()
		d.log.Info("dockerd ended", "error", err)
	}()
	return cmd, ended, awaitDocker(ctx, ended)
}

func (d *docker) start() (*exec.Cmd, error) {
	log, err := os.OpenFile(dockerLog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	args := []string{"--storage-driver=overlay2", "--exec-opt=native.cgroupdriver=cgroupfs", "--userland-proxy=false"}
	if d.mode == protocol.DockerLiveRestore {
		args = append(args, "--live-restore")
	}
	cmd := exec.Command("dockerd", args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// mountData mounts the disk that was named, or memory.
func (d *docker) mountData() error {
	if err := os.MkdirAll(dockerData, 0o710); err != nil {
		return fmt.Errorf("make %s: %w", dockerData, err)
	}
	if d.disk == "" {
		if err := unix.Mount("docker", dockerData, "tmpfs", 0, "mode=710,size=40%"); err != nil {
			return fmt.Errorf("mount %s: %w", dockerData, err)
		}
		return nil
	}
	device, err := diskBySerial(d.disk)
	if err != nil {
		return err
	}
	if err := command("modprobe", "-b", "ext4"); err != nil {
		return err
	}
	if command("blkid", device) != nil { // blank
		if err := command("mkfs.ext4", "-q", device); err != nil {
			return err
		}
	}
	if err := unix.Mount(device, dockerData, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", device, dockerData, err)
	}
	return nil
}

func diskBySerial(serial string) (string, error) {
	files, err := filepath.Glob("/sys/block/*/serial")
	if err != nil {
		return "", fmt.Errorf("list disks: %w", err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(f)), nil
		}
	}
	return "", fmt.Errorf("no disk has serial number %q", serial)
}

// awaitDocker waits until dockerd answers.
func awaitDocker(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, dockerTime, fmt.Errorf("it did not answer within %s", dockerTime))
	defer cancel()
	err := lab.AwaitEngine(ctx, dockerSocket, 50*time.Millisecond, ended)
	if err != nil {
		return errors.Join(err, lastOf(dockerLog))
	}
	return nil
}

// lastOf is the end of a log, as an error that explains another.
func lastOf(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	const most = 2000
	return fmt.Errorf("%s ends with:\n%s", path, text[max(0, len(text)-most):])
}
