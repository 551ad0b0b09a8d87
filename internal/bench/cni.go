//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// cni is CNI's plugins and the daemon that its dhcp needs.
type cni struct {
	plugins string
	socket  string
	daemon  *exec.Cmd
}

// startCNI starts the daemon on the node and waits until it listens.
func (w *world) startCNI(ctx context.Context, plugins string) error {
	w.cni = &cni{plugins: plugins, socket: filepath.Join(w.node.Dir(), "cni.sock")}
	w.cni.daemon = exec.Command(filepath.Join(plugins, "dhcp"), "daemon", "-socketpath", w.cni.socket)
	log, err := os.Create(filepath.Join(w.node.Dir(), "cni.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	w.cni.daemon.Stdout, w.cni.daemon.Stderr = log, log
	if err := w.host.Do(w.cni.daemon.Start); err != nil {
		return fmt.Errorf("start CNI's dhcp daemon: %w; make bench builds it", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(w.cni.socket); err == nil {
			return nil
		}
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			return errors.Join(fmt.Errorf("wait for CNI's dhcp daemon: %w", err), w.cni.stop())
		}
	}
}

// stop ends the daemon. It may be called twice.
func (c *cni) stop() error {
	if c == nil || c.daemon.Process == nil || c.daemon.ProcessState != nil {
		return nil
	}
	if err := c.daemon.Process.Kill(); err != nil {
		return err
	}
	_ = c.daemon.Wait() // it was killed
	return nil
}

// call calls the host-device plugin.
func (a *attachment) call(ctx context.Context, command string) error {
	ipam := map[string]any{"type": "dhcp", "daemonSocketPath": a.w.cni.socket}
	if a.want.IsValid() {
		ipam = map[string]any{
			"type":      "static",
			"addresses": []map[string]string{{"address": a.want.String(), "gateway": router}},
			"routes":    []map[string]string{{"dst": "0.0.0.0/0", "gw": router}},
		}
	}
	config, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "bench", "type": "host-device", "device": a.nic.home(), "ipam": ipam,
	})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(a.w.cni.plugins, "host-device"))
	cmd.Stdin = strings.NewReader(string(config))
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+a.nic.home(), "CNI_IFNAME=eth0",
		"CNI_NETNS="+a.c.path(), "CNI_PATH="+a.w.cni.plugins)
	if out, err := a.output(cmd); err != nil {
		return fmt.Errorf("CNI %s: %w: %s", command, err, out)
	}
	return nil
}

func cniStatic(ctx context.Context, a *attachment) error { return a.call(ctx, "ADD") }

func cniDHCP(ctx context.Context, a *attachment) error { return a.call(ctx, "ADD") }

func cniDel(ctx context.Context, a *attachment) error { return a.call(ctx, "DEL") }
