//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/story"
)

// A show is one run and what it holds open.
type show struct {
	*story.Story

	node              *lab.Node
	lan               *lab.Segment
	image             string
	controller, agent *lab.Process
}

// endTime bounds each clean-up.
const endTime = 30 * time.Second

// controllerConfig has two networks on one bridge of nicferry's own, with the
// segment's wire as its uplink: one that a DHCP server on the wire serves, one
// that the controller gives addresses for.
const controllerConfig = `version: 1
socket: %[1]s/nicferryd.sock
socketGroup: root
store: %[1]s/nicferry.db
providers:
  - {name: local, kind: local}
networks:
  - name: lab
    provider: local
    addressing: dhcp
    veth: {bridge: nf-lab, owned: true, uplinks: [%[2]s]}
  - name: fixed
    provider: local
    addressing: ipam
    veth: {bridge: nf-lab, owned: true, uplinks: [%[2]s]}
    subnets:
      - {prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.100-10.77.1.199]}
      - {prefix: "fd77::/64", gateway: "fd77::1", ranges: ["fd77::100-fd77::1ff"]}
`

const agentConfig = `version: 1
node: here
controllers: [unix://%[1]s/nicferryd.sock]
docker: {socket: %[2]s}
runDir: %[1]s/agent
`

// startNode starts the node and makes its image.
func (s *show) startNode(ctx context.Context) (_ string, err error) {
	if s.node, err = lab.Start(ctx, lab.Options{}); err != nil {
		return "", err
	}
	s.image, err = s.node.Engine.Image(ctx)
	return "in a network, mount and process namespace of their own", err
}

// makeLAN makes the node's LAN and writes the configs.
func (s *show) makeLAN(ctx context.Context) (_ string, err error) {
	if s.lan, err = s.node.Segment(ctx, lab.SegmentOptions{}); err != nil {
		return "", err
	}
	configs := map[string]string{
		"nicferryd.yaml": fmt.Sprintf(controllerConfig, s.node.Dir(), s.lan.Uplink()),
		"agent.yaml":     fmt.Sprintf(agentConfig, s.node.Dir(), s.node.Engine.Socket()),
	}
	for name, text := range configs {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("router %s, wired to %s", s.lan.Gateway(), s.lan.Uplink()), nil
}

// tearDown ends everything. The node's end is the end of all that is in it.
func (s *show) tearDown() error {
	if s.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	var err error
	if s.lan != nil {
		err = s.lan.Close(ctx)
	}
	return errors.Join(err, s.node.Close())
}

func (s *show) file(name string) string    { return filepath.Join(s.node.Dir(), name) }
func (s *show) program(name string) string { return filepath.Join(s.Bin, name) }

func (s *show) startController() (err error) {
	s.controller, err = s.node.Spawn(lab.Program{
		Name: "nicferryd", Args: []string{s.program("nicferryd"), "--config", s.file("nicferryd.yaml")},
	})
	return err
}

func (s *show) startAgent() (err error) {
	s.agent, err = s.node.Spawn(lab.Program{
		Name: "nicferry-agent", Args: []string{s.program("nicferry-agent"), "--config", s.file("agent.yaml")},
	})
	return err
}

// logs are the ends of the daemons' logs, to go with an error.
func (s *show) logs() error {
	var errs []error
	for _, name := range []string{"nicferryd.log", "nicferry-agent.log"} {
		text, err := os.ReadFile(s.file(name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		const most = 4000
		errs = append(errs, fmt.Errorf("%s ends with:\n%s", name, text[max(0, len(text)-most):]))
	}
	return errors.Join(errs...)
}

// cli runs the nicferry command and returns what it prints.
func (s *show) cli(ctx context.Context, args ...string) (string, error) {
	return s.node.Run(ctx, s.program("nicferry"), append([]string{"--controller", "unix://" + s.file("nicferryd.sock")}, args...)...)
}

// docker runs Docker's CLI.
func (s *show) docker(ctx context.Context, args ...string) (string, error) {
	out, err := s.node.Docker(ctx, args...)
	return strings.TrimSpace(out), err
}
