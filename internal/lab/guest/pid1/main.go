//go:build linux

// Package pid1 is the first service of a virtual machine of the lab: it mounts
// what is missing, sets the management NIC up, starts dockerd and serves
// commands until the machine is to be turned off.
package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// path is where a guest finds its programs.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Main turns the machine that the calling process runs on into the guest that
// its kernel's command line describes, and turns the machine off in the end. It
// does so only where it was booted as one, and returns an error elsewhere.
func Main() error {
	// Nobody may take his own machine for a guest.
	if exe, err := os.Readlink("/proc/self/exe"); err != nil || exe != "/.guest/init" {
		return errors.New("run the first service of a guest: this is not a virtual machine of the lab")
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("read kernel command line: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	boot, err := protocol.ParseCmdline(string(line))
	if err == nil {
		err = (&machine{boot: boot, log: log}).run()
	}
	if err != nil {
		log.Error("the guest cannot go on", "error", err)
	}
	powerOff()
	return err // not reached
}

// A machine is the guest as it sees itself.
type machine struct {
	boot protocol.Boot
	log  *slog.Logger

	docker *docker // nil without one
	work   sync.WaitGroup
}

// run sets the machine up and serves until it is to be turned off.
func (m *machine) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	if err := mountAll(m.boot.Mounts); err != nil {
		return err
	}
	// Nobody loads a driver when a device is plugged in: there is no udev.
	modules := slices.Concat([]string{"virtio_net", "virtio_blk", "e1000e", "button", "evdev"}, m.boot.Modules)
	// One at a time, because modprobe -a goes on after an error and hides which.
	for _, name := range modules {
		if err := command("modprobe", "-b", name); err != nil {
			m.log.Error("a module was not loaded", "module", name, "error", err)
		}
	}
	if err := m.setNetwork(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", netip.AddrPortFrom(m.boot.Addr.Addr(), protocol.Port).String())
	if err != nil {
		return fmt.Errorf("serve commands: %w", err)
	}
	if m.boot.Docker != protocol.DockerOff {
		m.docker = &docker{mode: m.boot.Docker, disk: m.boot.DockerDisk, log: m.log, settled: make(chan struct{})}
		m.work.Go(func() { m.docker.run(ctx) })
	}
	m.work.Go(func() { watchPowerButton(ctx, m.log, stop) })
	m.work.Go(func() {
		<-ctx.Done()
		listener.Close()
	})
	m.log.Info("guest is up", "name", m.boot.Hostname, "address", m.boot.Addr, "uptime", uptime())
	m.serve(ctx, listener)
	m.work.Wait()
	return nil
}

// uptime is the time since the kernel started.
func uptime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano()).Round(time.Millisecond)
}

// powerOff turns the machine off. What is on disks is written first.
func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // QEMU ends with it
	select {}
}
