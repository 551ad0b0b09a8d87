//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

// pause is how often it is looked whether what was started serves.
const pause = 20 * time.Millisecond

// controllerConfig has two networks on the LAN: one whose DHCP server is on
// the wire, one that the controller gives addresses for.
const controllerConfig = `version: 1
socket: %[1]s
socketGroup: root
store: %[2]s
listen: {address: "%[3]s"}
providers:
  - {name: vms, kind: libvirt, libvirt: {uri: "%[4]s"}}
%[7]snetworks:
  - name: lab
    provider: vms
    addressing: dhcp
    port: {%[5]s: %[6]s}
  - name: fixed
    provider: vms
    addressing: ipam
    port: {%[5]s: %[6]s}
    subnets:
      - {prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.100-10.77.1.199]}
      - {prefix: "fd77::/64", gateway: "fd77::1", ranges: ["fd77::100-fd77::1ff"]}
`

// Socket is the controller's, for the nicferry command on the machine.
func (c *Cluster) Socket() string { return c.file("nicferryd.sock") }

func (c *Cluster) api() string {
	return net.JoinHostPort(managementHost.Addr().String(), fmt.Sprint(apiPort))
}

// apiAddress is how agents know the controller.
func (c *Cluster) apiAddress() string { return "https://" + c.api() }

// startController writes the controller's config and starts it.
func (c *Cluster) startController(ctx context.Context) error {
	config := fmt.Sprintf(controllerConfig, c.Socket(), c.file("nicferry.db"), c.api(),
		c.host.URI(), c.opts.Switch, LANBridge, c.opts.Metal.provider()) + c.opts.Metal.networks()
	if c.opts.Cloud != nil {
		var err error
		if config, err = c.cloudController(ctx, false); err != nil {
			return err
		}
	}
	if err := c.configure(config); err != nil {
		return err
	}
	return c.StartController(ctx)
}

// configure writes the controller's config.
func (c *Cluster) configure(config string) error {
	return os.WriteFile(c.file("nicferryd.yaml"), []byte(config+c.opts.Controller), 0o600)
}

// StartController starts nicferryd, after Kill say, and waits until it serves.
func (c *Cluster) StartController(ctx context.Context) error {
	var env []string
	var err error
	if c.opts.Cloud != nil {
		if env, err = c.cloudEnv(ctx); err != nil {
			return err
		}
	}
	err = c.host.Launch(ctx, lab.Program{Name: "nicferryd", Env: env, Args: []string{
		filepath.Join(c.opts.Bin, "nicferryd"), "--config", c.file("nicferryd.yaml"),
	}})
	if err != nil {
		return err
	}
	err = lab.Until(ctx, "nicferryd to serve", 30*time.Second, pause, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Socket())
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return errors.Join(err, errors.New(tail(c.file("log", "nicferryd.log"))))
	}
	return nil
}

// KillController ends nicferryd with SIGKILL.
func (c *Cluster) KillController(ctx context.Context) error { return c.host.Kill(ctx, "nicferryd") }

// session asks the controller for the number of the node's last agent, and
// whether that one reports. A node that it does not know has had no agent.
func (c *Cluster) session(ctx context.Context, name string) (number uint64, ready bool, err error) {
	out, err := c.CLI(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return 0, false, err
	}
	return lab.SessionIn(out, name)
}

// CLI runs the nicferry command against the lab's controller.
func (c *Cluster) CLI(ctx context.Context, args ...string) (string, error) {
	return c.host.Run(ctx, filepath.Join(c.opts.Bin, "nicferry"), append([]string{"--controller", "unix://" + c.Socket()}, args...)...)
}

// tails are the ends of the daemons' logs, to go with an error.
func (c *Cluster) tails() error {
	var errs []error
	for _, name := range []string{"libvirtd", cloudLog, "nicferryd"} {
		if text := tail(c.file("log", name+".log")); text != "" {
			errs = append(errs, fmt.Errorf("log of %s ends with:\n%s", name, text))
		}
	}
	return errors.Join(errs...)
}

// Tails are the ends of all logs that tell why something failed, as an error to
// go with another: the daemons', each guest's console, and each agent's unless
// its guest does not answer.
func (c *Cluster) Tails(ctx context.Context) error {
	errs := []error{c.tails()}
	for _, n := range c.nodes {
		errs = append(errs, fmt.Errorf("console of %s ends with:\n%s", n.Name, tail(n.console())))
		ask, cancel := context.WithTimeout(ctx, answerTime)
		text, err := n.Command(ask, "tail", "-c", "3000", "--", agentLog).Output()
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, fmt.Errorf("log of nicferry-agent of %s ends with:\n%s", n.Name, text))
	}
	return errors.Join(errs...)
}

// tail is the end of a file, or nothing.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	const most = 3000
	return string(text[max(0, len(text)-most):])
}
