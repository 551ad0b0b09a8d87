//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

const controllerConfig = `version: 1
socket: $DIR/nicferryd.sock
socketGroup: root
store: $DIR/nicferry.db
providers: [{name: local, kind: local}]
networks:
  - {name: lab, provider: local, addressing: dhcp, veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}}
`

const agentConfig = `version: 1
node: here
controllers: [unix://$DIR/nicferryd.sock]
docker: {socket: $DIR/docker.sock}
runDir: $DIR/agent
`

// crowd runs the daemons as they are shipped on a node with Docker, and looks
// at the agent's process once all NICs are under lease.
func crowd(ctx context.Context, o options, file *figures.File) error {
	node, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("make a node for the crowd: %w", err)
	}
	err = crowdOn(ctx, node, o, file)
	if err != nil {
		err = errors.Join(fmt.Errorf("a crowd of NICs: %w; logs are in %s", err, o.out), keepLogs(node, o.out))
	}
	return errors.Join(err, node.Close())
}

func crowdOn(ctx context.Context, node *lab.Node, o options, file *figures.File) error {
	if _, err := node.Engine.Image(ctx); err != nil {
		return err
	}
	lan, err := node.Segment(ctx, lab.SegmentOptions{
		Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("%s/%d", router, bits))},
		DHCP:  nic.Range{First: netip.MustParseAddr("10.77.1.0"), Last: netip.MustParseAddr("10.77.99.255")},
	})
	if err != nil {
		return err
	}
	if err := lan.SetDHCPOptions(ctx, calm...); err != nil {
		return err
	}
	var agent *lab.Process
	for name, config := range map[string]string{"nicferryd": controllerConfig, "nicferry-agent": agentConfig} {
		path := filepath.Join(node.Dir(), name+".yaml")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "$DIR", node.Dir())), 0o600); err != nil {
			return err
		}
		p, err := node.Spawn(lab.Program{Name: name, Args: []string{filepath.Join(o.bin, name), "--config", path}})
		if err != nil {
			return err
		}
		if name == "nicferry-agent" {
			agent = p
		}
	}
	begin := time.Now()
	for i := range o.nics {
		_, err := node.Docker(ctx, "run", "-d", "--init", "--network", "none", "--name", fmt.Sprintf("c%d", i),
			"--label", "nicferry.network=lab", lab.ImageName)
		if err != nil {
			return err
		}
	}
	if err := awaitBound(ctx, node, o.bin, o.nics); err != nil {
		return err
	}
	file.Add("crowd", "NICs under lease", 0, int64(o.nics), "NICs", nil)
	file.Add("crowd", "from the first docker run to the last lease", 0, time.Since(begin).Milliseconds(), "ms", nil)
	if err := lookAt(agent.PID(), file); err != nil {
		return err
	}
	if err := hour(ctx, lan, agent.PID(), o.nics, file); err != nil {
		return err
	}
	return errors.Join(agent.Signal(syscall.SIGTERM), agent.Wait(ctx))
}

// keepLogs copies the node's logs to where they outlive it.
func keepLogs(node *lab.Node, to string) error {
	paths, err := filepath.Glob(filepath.Join(node.Dir(), "*.log"))
	for _, path := range paths {
		text, readErr := os.ReadFile(path)
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(to, filepath.Base(path)), text, 0o644))
	}
	return err
}

// awaitBound waits until as many claims are bound.
func awaitBound(ctx context.Context, node *lab.Node, bin string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		out, err := node.Run(ctx, filepath.Join(bin, "nicferry"), "--server", "unix://"+node.Dir()+"/nicferryd.sock", "get", "claims")
		if err == nil && strings.Count(out, " bound ") >= want {
			return nil
		}
		if retry.Sleep(ctx, 200*time.Millisecond) != nil {
			bound := strings.Count(out, " bound ")
			out = regexp.MustCompile(`(?m)^.* bound .*\n`).ReplaceAllString(out, "")
			return errors.Join(fmt.Errorf("%d of %d claims are bound after 2 min; not bound are:\n%s", bound, want, out), err)
		}
	}
}

// lookAt records what the process has.
func lookAt(pid int, file *figures.File) error {
	status, err := statusOf(pid)
	if err != nil {
		return err
	}
	for _, key := range []string{"VmHWM", "VmRSS", "Threads"} {
		unit := "KiB" // so the kernel means its "kB"
		if key == "Threads" {
			unit = "threads"
		}
		file.Add("crowd", key, 0, status[key], unit, nil)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return err
	}
	file.Add("crowd", "file descriptors", 0, int64(len(files)), "descriptors", nil)
	return nil
}

// statusOf reads the numbers in a process's status.
func statusOf(pid int) (map[string]int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{}
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if v, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				numbers[key] = v
			}
		}
	}
	return numbers, nil
}
