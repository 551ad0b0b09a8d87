//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Status is a lab as people and programs see it.
type Status struct {
	Dir     string `json:"dir"`
	Socket  string `json:"socket"` // the controller's
	Libvirt string `json:"libvirt"`
	Switch  Switch `json:"switch"`
	// Control is the cloud's, on the host; empty where the guests are no instances.
	Control string       `json:"control,omitempty"`
	Nodes   []NodeStatus `json:"nodes"`
}

// NodeStatus is one guest.
type NodeStatus struct {
	Name   string `json:"name"`
	Domain string `json:"domain"` // libvirt's state
	Addr   string `json:"addr"`   // on the management network
	// Answers says whether the guest serves commands.
	Answers bool `json:"answers"`
	// FreePorts and Ports are its places for NICs.
	FreePorts int `json:"freePorts"`
	Ports     int `json:"ports"`
}

// answerTime bounds how long a guest is asked whether it answers.
const answerTime = 2 * time.Second

// Status looks at the lab. A guest that is off or does not answer is told as
// such and no error.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	s := Status{Dir: c.opts.Dir, Socket: c.Socket(), Libvirt: c.host.URI(), Switch: c.opts.Switch}
	if c.opts.Cloud != nil {
		s.Control = "http://" + cloudControl
	}
	for _, n := range c.nodes {
		at := NodeStatus{Name: n.Name, Addr: n.Addr.String(), Ports: c.opts.Ports, Domain: "undefined"}
		if d, err := c.virt.Domain(ctx, n.Name); err == nil {
			at.Domain, at.FreePorts = string(d.State), d.Slots.Free
		}
		ask, cancel := context.WithTimeout(ctx, answerTime)
		at.Answers = n.AwaitUp(ask) == nil
		cancel()
		s.Nodes = append(s.Nodes, at)
	}
	return s, ctx.Err()
}

// String is the status as people read it.
func (s Status) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-6s %-10s %-12s %-8s %s\n", "NODE", "DOMAIN", "ADDRESS", "ANSWERS", "FREE PORTS")
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "%-6s %-10s %-12s %-8t %d of %d\n", n.Name, n.Domain, n.Addr, n.Answers, n.FreePorts, n.Ports)
	}
	fmt.Fprintf(&b, "\ncontroller: nicferry --controller unix://%s get nics\nlibvirt:    nicferry-lab exec host -- virsh list --all\n", s.Socket)
	if s.Control != "" {
		fmt.Fprintf(&b, "cloud:      nicferry-lab exec host -- curl %s/log\n", s.Control)
	}
	return b.String()
}

// Logs writes the logs of a guest, or of the host.
func (c *Cluster) Logs(ctx context.Context, node string, to io.Writer) error {
	if node == "host" {
		logs, err := filepath.Glob(c.file("log", "*.log"))
		if err != nil {
			return err
		}
		logs = slices.DeleteFunc(logs, func(path string) bool { return strings.HasSuffix(path, ".console.log") })
		return show(to, logs...)
	}
	n, err := c.Node(node)
	if err != nil {
		return fmt.Errorf("%w, and host", err)
	}
	if err := show(to, n.console()); err != nil {
		return err
	}
	fmt.Fprintf(to, "==> %s:%s <==\n", n.Name, agentLog)
	cmd := n.Command(ctx, "cat", "--", agentLog)
	cmd.Stdout = to
	return cmd.Run()
}

func show(to io.Writer, paths ...string) error {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(to, "==> %s <==\n%s\n", path, text)
	}
	return nil
}
