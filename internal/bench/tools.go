//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/ferry"
)

// What is measured in rounds, and the tools' names in figures.
const (
	static = "static"
	lease  = "dhcp"

	ours  = "nicferry"
	floor = "kernel move"
	fixed = "nicferry, fixed address"
)

func staticTools() []tool {
	return []tool{
		{name: ours, attach: ferryStatic, detach: ferryOut},
		{name: floor, attach: move, bare: true},
		{name: "ip script", attach: ipScript},
		{name: "CNI host-device+static", attach: cniStatic, detach: cniDel},
	}
}

func dhcpTools() []tool {
	return []tool{
		{name: ours, attach: ferryDHCP, detach: ferryOut},
		{name: floor, attach: move, bare: true},
		{name: fixed, attach: ferryStatic, detach: ferryOut, fixed: true},
		{name: "ip + udhcpc script", attach: udhcpcScript, detach: udhcpcEnd},
		{name: "CNI host-device+dhcp", attach: cniDHCP, detach: cniDel},
	}
}

// move is the one message that nobody can do without.
func move(_ context.Context, a *attachment) error {
	inside, err := link.Open(a.c.ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	l, err := a.w.links.ByName(a.nic.home())
	if err != nil {
		return err
	}
	_, err = a.w.links.Move(l, inside, link.Change{Name: "eth0", Up: new(true)})
	return err
}

// into is what the agent does with a NIC when it sees its container start:
// hold the namespace, and bring it in.
func (a *attachment) into(ctx context.Context, l3 nic.Layer3) (*netns.Namespace, link.Link, error) {
	ns, err := netns.Open(a.c.path())
	if err != nil {
		return nil, link.Link{}, err
	}
	l, err := a.w.ferry.In(ctx, a.nic.id, a.nic.d, ns, ferry.NewEntry("eth0", l3, false))
	a.undo = func(context.Context) error { return ns.Close() }
	return ns, l, err
}

func ferryStatic(ctx context.Context, a *attachment) error {
	l3 := nic.Layer3{Addrs: []netip.Prefix{a.want}, Gateways: []netip.Addr{netip.MustParseAddr(router)}, DefaultRoute: true}
	ns, l, err := a.into(ctx, l3)
	if err != nil {
		return err
	}
	return a.w.ferry.Apply(ctx, ns, l.Index, l3)
}

// dhcpTime bounds the wait for a lease.
const dhcpTime = 20 * time.Second

func ferryDHCP(ctx context.Context, a *attachment) error {
	l3 := nic.Layer3{DHCP: true, DefaultRoute: true}
	ns, l, err := a.into(ctx, l3)
	if err != nil {
		return err
	}
	bound := make(chan struct{}, 1)
	keeper, err := dhcp.Start(dhcp.Options{
		Listen: func() (dhcp.Conn, error) {
			if err := a.w.ferry.AwaitCarrier(ns, l.Index); err != nil {
				return nil, err
			}
			return a.w.wires.Listen(ns, l.Index)
		},
		MAC: a.nic.d.MAC, ClientID: nic.NewClaimID().DHCPClientID(),
		Wake: func() {
			select {
			case bound <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	a.undo = func(ctx context.Context) error {
		defer ns.Close()
		ctx, cancel := context.WithTimeout(ctx, dhcpTime)
		defer cancel()
		return keeper.Stop(ctx, true)
	}
	ctx, cancel := context.WithTimeout(ctx, dhcpTime)
	defer cancel()
	for {
		if state := keeper.State(); state.Bound {
			l3.Addrs, l3.Gateways = []netip.Prefix{state.Lease.Addr}, []netip.Addr{state.Lease.Router}
			return a.w.ferry.Apply(ctx, ns, l.Index, l3)
		}
		select {
		case <-bound:
		case <-ctx.Done():
			return fmt.Errorf("wait for a lease: %w", ctx.Err())
		}
	}
}

// ferryOut lets the lease go while the NIC is still inside, then brings the NIC
// home.
func ferryOut(ctx context.Context, a *attachment) error {
	ns := a.c.ns
	err := a.undo(ctx)
	a.undo = func(context.Context) error { return nil }
	if err != nil {
		return err
	}
	return a.w.ferry.Out(ctx, a.nic.id, a.nic.d, ns)
}

// script runs a shell script in the node's namespace, as an admin would.
func (a *attachment) script(ctx context.Context, text string, env ...string) error {
	cmd := exec.CommandContext(ctx, "sh", "-euc", text)
	cmd.Env = append(os.Environ(), append(env, "DEV="+a.nic.home(), "PID="+strconv.Itoa(a.c.cmd.Process.Pid),
		"ADDR="+a.want.String(), "GW="+router)...)
	if out, err := a.output(cmd); err != nil {
		return fmt.Errorf("script: %w: %s", err, out)
	}
	return nil
}

// output runs a program in the node's namespace.
func (a *attachment) output(cmd *exec.Cmd) (out string, err error) {
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := a.w.host.Do(cmd.Start); err != nil {
		return "", err
	}
	err = cmd.Wait()
	return text.String(), err
}

func ipScript(ctx context.Context, a *attachment) error {
	return a.script(ctx, `
		ip link set "$DEV" netns "$PID" name eth0
		nsenter -t "$PID" -n ip addr add "$ADDR" dev eth0
		nsenter -t "$PID" -n ip link set eth0 up
		nsenter -t "$PID" -n ip route add default via "$GW"`)
}

// onLease is what udhcpc runs; busybox brings none that sets an address.
const onLease = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
`

func udhcpcScript(ctx context.Context, a *attachment) error {
	path := filepath.Join(a.w.node.Dir(), "udhcpc.sh")
	if err := os.WriteFile(path, []byte(onLease), 0o755); err != nil {
		return err
	}
	// Without -q it stays to renew the lease, as it must.
	return a.script(ctx, `
		ip link set "$DEV" netns "$PID" name eth0
		nsenter -t "$PID" -n ip link set eth0 up
		nsenter -t "$PID" -n busybox udhcpc -i eth0 -n -t 5 -T 1 -s "$SCRIPT" -p "$PIDFILE" >/dev/null 2>&1`,
		"SCRIPT="+path, "PIDFILE="+a.pidFile())
}

func (a *attachment) pidFile() string { return filepath.Join(a.w.node.Dir(), a.nic.home()+".pid") }

// udhcpcEnd ends the client that the script left, and waits for its end. For a
// moment after the script's end the pid file names the process that went to the
// background by ending, and the one that stays is not yet ours to wait for.
func udhcpcEnd(ctx context.Context, a *attachment) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for told := 0; ; {
		text, err := os.ReadFile(a.pidFile()) // it goes with the process
		if pid, numErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && numErr == nil && pid != told {
			if err = unix.Kill(pid, unix.SIGTERM); err == nil {
				told = pid
			}
		}
		if told != 0 {
			var gone int
			if gone, err = unix.Wait4(told, nil, unix.WNOHANG, nil); err == nil && gone == told {
				return os.RemoveAll(a.pidFile())
			}
		}
		if sleepErr := retry.Sleep(ctx, 2*time.Millisecond); sleepErr != nil {
			return errors.Join(fmt.Errorf("leak: udhcpc does not end: %w", sleepErr), err)
		}
	}
}
