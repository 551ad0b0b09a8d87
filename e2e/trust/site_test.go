//go:build linux

package trust

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// A site is one machine whose controller and agent, on a unix socket, are replaced
// by those of the release before, and by these again.
type site struct {
	t       *testing.T
	node    *lab.Node
	lan     *lab.Segment
	daemons *lab.Daemons
	old     string // the folder of the programs of the release before
	before  lab.Snapshot
	pings   map[string]*lab.Pinging
	begun   time.Time
	known   map[string]kept // what the containers that stay have
	leases  map[string]bool // of the containers that stay
}

// siteConfig is one that both releases read.
const siteConfig = `version: 1
socket: %[1]s/nicferryd.sock
socketGroup: root
store: %[1]s/nicferry.db
providers:
  - {name: local, kind: local, local: {slots: 64}}
networks:
  - name: lab
    provider: local
    addressing: dhcp
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
  - name: fixed
    provider: local
    addressing: ipam
    hold: 2s
    cooldown: 1s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.100-10.77.1.149]}]
  - name: warm
    provider: local
    addressing: ipam
    cooldown: 1s
    pool: {max: 2, idle: 1s}
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.150-10.77.1.179]}]
  - name: shop
    provider: local
    addressing: ipam
    tenants: [shop]
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.180-10.77.1.199]}]
tenants: [{name: shop, quota: {nics: 5}}]
nodes: {here: {tenants: [default, shop]}}
`

const siteAgent = `version: 1
node: here
controllers: [unix://%[1]s/nicferryd.sock]
docker: {socket: %[1]s/docker.sock}
runDir: %[1]s/agent
resync: 1s
`

// The releases, and the daemons.
const (
	former, present   = "the release before", "this release"
	controller, agent = "nicferryd", "nicferry-agent"
)

func newSite(t *testing.T) *site {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	s := &site{t: t, begun: time.Now(), pings: map[string]*lab.Pinging{}, known: map[string]kept{}, leases: map[string]bool{}}
	var err error
	s.old, err = labtest.Previous(t.Context(), "../..", "testdata/previous-landing")
	s.do(err)
	s.node, err = lab.Start(ctx, lab.Options{})
	s.do(err)
	t.Cleanup(s.end)
	s.daemons = s.node.Daemons()
	_, err = s.node.Engine.Image(ctx)
	s.do(err)
	s.lan, err = s.node.Segment(ctx, lab.SegmentOptions{})
	s.do(err)
	s.do(os.WriteFile(s.config(controller), fmt.Appendf(nil, siteConfig, s.node.Dir()), 0o600))
	s.do(os.WriteFile(s.config(agent), fmt.Appendf(nil, siteAgent, s.node.Dir()), 0o600))
	s.before, err = s.node.Snapshot(ctx)
	s.do(err)
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.node.Dir(), name) }

// config is the path of a daemon's.
func (s *site) config(daemon string) string { return s.file(daemon + ".yaml") }

func (s *site) do(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// end shows the logs if something failed, and takes the machine away.
func (s *site) end() {
	if s.t.Failed() {
		for _, name := range []string{controller, agent} {
			s.t.Logf("log of %s:\n%s", name, s.log(name))
		}
	}
	if err := s.node.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *site) log(name string) string {
	text, err := os.ReadFile(s.file(name + ".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// program is the path of a release's program.
func (s *site) program(release, name string) string {
	if release == former {
		return filepath.Join(s.old, name)
	}
	return filepath.Join(bin, name)
}

// replace ends a daemon, if it runs, by SIGKILL or in good order, and starts the
// release's.
func (s *site) replace(name, release string, kill bool) {
	s.t.Helper()
	s.t.Logf("%5.1f s  %s of %s", time.Since(s.begun).Seconds(), name, release)
	ctx := s.t.Context()
	switch {
	case s.daemons.Process(name) == nil:
	case kill:
		s.do(s.daemons.Kill(ctx, name))
	default:
		s.do(s.daemons.Stop(ctx, name))
	}
	s.do(s.daemons.Start(lab.Program{Name: name, Args: []string{s.program(release, name), "--config", s.config(name)}}))
}

// swap replaces a daemon by the release's, until that serves.
func (s *site) swap(name, release string, kill bool) {
	s.t.Helper()
	session := uint64(0)
	if name == agent {
		session, _ = s.session()
	}
	s.replace(name, release, kill)
	if name == controller && s.daemons.Process(agent) == nil {
		s.until("the controller to serve", func() error { _, err := s.cli(present, "get", "nodes"); return err })
		return
	}
	s.until("the agent to be ready", func() error {
		if now, ready := s.session(); !ready || name == agent && now <= session {
			return fmt.Errorf("session %d, after %d; ready %t", now, session, ready)
		}
		return nil
	})
}

// session is that of the node's agent, and whether it is ready.
func (s *site) session() (number uint64, ready bool) {
	out, err := s.cli(present, "get", "nodes", "-o", "json")
	if err == nil {
		number, ready, err = lab.SessionIn(out, "here")
	}
	return number, ready && err == nil
}

// cli runs the nicferry of a release and returns what it prints.
func (s *site) cli(release string, args ...string) (string, error) {
	return s.node.Run(s.t.Context(), s.program(release, "nicferry"), append([]string{"--controller", "unix://" + s.file("nicferryd.sock")}, args...)...)
}

func (s *site) until(what string, ask func() error) {
	s.t.Helper()
	s.do(fleet.Until(s.t.Context(), what, ask))
}

func (s *site) docker(args ...string) string {
	s.t.Helper()
	out, err := s.node.Docker(s.t.Context(), args...)
	s.do(err)
	return strings.TrimSpace(out)
}

// container makes a container by docker run -d, or docker create, of these labels.
func (s *site) container(how, name string, labels ...string) {
	s.t.Helper()
	args := []string{how, "--init", "--network", "none", "--name", name}
	if how == "run" {
		args = append(args, "-d")
	}
	for _, label := range labels {
		args = append(args, "--label", label)
	}
	s.docker(append(args, lab.ImageName)...)
}
