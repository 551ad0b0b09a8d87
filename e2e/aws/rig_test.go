//go:build linux

package aws

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// bin is where TestMain has put the programs.
var bin string

// atOnce is how many rigs run beside each other: they wait most of the time.
const atOnce = "4"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(labtest.WithPrograms(m, "../..", &bin).Run())
}

// A rig is a fleet whose machines are instances of a cloud of its own. The cloud's API
// is on the loopback of the controller's machine, and its subnets are on a switch
// there: what is attached is a real card in the instance's machine.
type rig struct {
	*fleet.Fleet
	t     *testing.T
	site  *site.Site
	about site.About
	cards *plug.Namespaces
	env   []string // of the controller
}

// options shape a rig. All are optional.
type options struct {
	agents   int    // 1
	kind     string // of the instances
	cloud    cloudsim.Options
	profiles map[string]profile // each has a provider of its name, besides cloud
	networks func(*rig) string  // besides vpc
	more     string             // of the controller's config
	// allow says who may do what, once the controller runs and before agents do.
	allow func(*rig)
}

// The cloud's doors on the controller's machine.
const endpoint = "http://127.0.0.1:8000"

// The switch of all subnets, in a namespace of the controller's machine.
const vpcSpace, vpcSwitch, vpcMTU = "vpc", "vpc0", 9001

// errNotYet: what is waited for is not so.
var errNotYet = errors.New("it is not so")

// lastWait bounds a rig's start, and its end.
const lastWait = 2 * time.Minute

// start starts a rig, which ends with the test.
func start(t *testing.T, o options) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), lastWait)
	defer cancel()
	dir := t.TempDir()
	env := []string{"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "credentials"), "AWS_CONFIG_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
	f, err := fleet.Start(ctx, fleet.Options{
		Bin: bin, Agents: o.agents, ByHand: true,
		Providers: "  - {name: cloud, kind: aws, aws: {endpoint: \"" + endpoint + "\", region: eu-central-1}}\n" + providersOf(o.profiles),
		Env:       env,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Fleet: f, t: t, env: env}
	t.Cleanup(r.end)
	r.do(r.open(ctx, o))
	r.do(os.WriteFile(filepath.Join(dir, "credentials"), []byte(credentials(r.about, o.profiles)), 0o600))
	r.do(r.configure(o))
	r.do(r.StartController(ctx))
	if o.allow != nil {
		o.allow(r)
	}
	for _, a := range r.Agents {
		r.do(a.Join(ctx))
		r.do(a.Start(ctx))
	}
	return r
}

// open makes the cloud and its wires.
func (r *rig) open(ctx context.Context, o options) error {
	for _, step := range [][]string{
		{"netns", "add", vpcSpace},
		{"-n", vpcSpace, "link", "set", "lo", "up"},
		{"-n", vpcSpace, "link", "add", vpcSwitch, "mtu", fmt.Sprint(vpcMTU), "type", "bridge", "forward_delay", "0"},
		{"-n", vpcSpace, "addr", "add", "10.80.0.1/18", "dev", vpcSwitch},
		{"-n", vpcSpace, "addr", "add", "10.80.64.1/18", "dev", vpcSwitch},
		{"-n", vpcSpace, "link", "set", vpcSwitch, "up"},
	} {
		if _, err := r.Machine.Run(ctx, "ip", step...); err != nil {
			return err
		}
	}
	r.cards = plug.NewNamespaces(plug.NamespaceOptions{
		Switch: filepath.Join(r.Machine.Root(), "run", "netns", vpcSpace), Bridge: vpcSwitch, MTU: vpcMTU,
	})
	here, err := netns.Open(r.Machine.NetNS())
	if err != nil {
		return err
	}
	defer here.Close()
	o.cloud.Plugger = r.cards
	err = here.Do(func() (err error) {
		r.site, err = site.Start(ctx, site.Options{
			Listen: strings.TrimPrefix(endpoint, "http://"), Instances: len(r.Agents), Type: o.kind, Cloud: o.cloud, Keys: keysOf(o.profiles),
		})
		return err
	})
	if err != nil {
		return err
	}
	r.about = r.site.About
	for n, a := range r.Agents {
		r.cards.Machine(r.about.Instances[n].ID, a.Machine.NetNS())
	}
	return nil
}

// configure writes the controller's config. Network vpc is the cloud's two subnets.
func (r *rig) configure(o options) error {
	networks := r.network("vpc", "cloud")
	if o.networks != nil {
		networks += o.networks(r)
	}
	var nodes strings.Builder
	for n, a := range r.Agents {
		fmt.Fprintf(&nodes, "  %s: {instances: {cloud: %s", a.Name, r.about.Instances[n].ID)
		for _, name := range namesOf(o.profiles) {
			fmt.Fprintf(&nodes, ", %s: %s", name, r.about.Instances[n].ID)
		}
		nodes.WriteString("}}\n")
	}
	return r.Configure(networks, "nodes:\n"+nodes.String()+o.more)
}

// network is the config of a network in the cloud's two subnets; more are further
// fields.
func (r *rig) network(name, provider string, more ...string) string {
	return networkIn(name, provider, r.about.Subnets[0].ID+", "+r.about.Subnets[1].ID, r.about.Group, more...)
}

func networkIn(name, provider, subnets, group string, more ...string) string {
	return fmt.Sprintf("  - {name: %s, provider: %s, addressing: provider, aws: {subnets: [%s], groups: [%s]}%s}\n",
		name, provider, subnets, group, strings.Join(append([]string{""}, more...), ", "))
}

// end takes the containers away as a user would, and wants nothing to be left, in the
// controller and in the cloud.
func (r *rig) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), lastWait)
	defer cancel()
	if err := r.leave(ctx); err != nil {
		r.t.Error(err)
	}
	if r.t.Failed() {
		r.t.Log(r.Logs())
		r.t.Log("log of the cloud:\n" + r.cloudLog(0))
	}
	err := r.Close()
	if r.site != nil {
		err = errors.Join(err, r.site.Close())
	}
	if err != nil {
		r.t.Error(err)
	}
}

func (r *rig) leave(ctx context.Context) error {
	if r.site == nil || r.t.Failed() {
		return nil
	}
	r.site.Cloud.Clear()
	for _, a := range r.Agents {
		ids, err := a.Docker(ctx, "ps", "-aq")
		if err != nil {
			return err
		}
		if names := strings.Fields(ids); len(names) > 0 {
			if _, err := a.Docker(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
				return err
			}
		}
	}
	return fleet.Until(ctx, "nothing of ours to be left", func() error { return r.orphans(ctx) })
}

// orphans is an error while the cloud has an interface of ours that no pool keeps, or
// a claim is left of a container that is gone. The record of a NIC outlives it: for as
// long as a cloud may hide what it has.
func (r *rig) orphans(ctx context.Context) error {
	known, err := r.nics(ctx)
	if err != nil {
		return err
	}
	for id, n := range known {
		if n.Phase != nic.PhaseSpare && n.Phase != nic.PhaseRetiring {
			return fmt.Errorf("there still is %s, %s: %v", id, n.Phase, n.Conditions)
		}
	}
	for _, e := range r.ours() {
		if known[nic.ID(e.Tags[tagNIC])].Phase != nic.PhaseSpare {
			return fmt.Errorf("there still is %s in the cloud: %+v", e.ID, e)
		}
	}
	return nil
}

// nics are those that the controller has a record of.
func (r *rig) nics(ctx context.Context) (map[nic.ID]nic.NIC, error) {
	out, err := r.CLI(ctx, "get", "nics", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []nic.NIC }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	all := map[nic.ID]nic.NIC{}
	for _, n := range list.Items {
		all[n.ID] = n
	}
	return all, nil
}

// The tags of what is ours; other is another installation's value of the second.
const tagNIC, tagCluster, other = "nicferry.io/nic", "nicferry.io/cluster", "other"

// ours are the cloud's interfaces that carry our tag.
func (r *rig) ours() []cloudsim.Interface {
	var all []cloudsim.Interface
	for _, e := range r.site.Cloud.Interfaces() {
		if of := e.Tags[tagCluster]; of != "" && of != other {
			all = append(all, e)
		}
	}
	return all
}

// cloudLog is the cloud's log from a number on, for people.
func (r *rig) cloudLog(from int) string {
	if r.site == nil {
		return ""
	}
	var text strings.Builder
	for _, e := range r.site.Cloud.Log(from) {
		fmt.Fprintf(&text, "%d %s %s%s %s %s %s fault=%s effect=%t %s > %s %s\n", e.N, e.Time.Format("05.000"), e.API, e.Event, e.Resource, e.Instance,
			e.Code, e.Fault, e.Effect, e.Before, e.After, e.Caller)
	}
	return text.String()
}

// do fails the test at an error.
func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// run starts a container on a machine, in a network.
func (r *rig) run(a *fleet.Agent, name, network string, labels ...string) {
	r.t.Helper()
	r.do(a.RunContainer(r.t.Context(), name, append(labels, "nicferry.network="+network)...))
}

// remove takes a container away and waits until the cloud has deleted its interface.
func (r *rig) remove(a *fleet.Agent, name string, eni cloudsim.Interface) {
	r.t.Helper()
	_, err := a.Docker(r.t.Context(), "rm", "-f", name)
	r.do(err)
	r.goes(eni)
}

// goes waits until the cloud has deleted an interface.
func (r *rig) goes(eni cloudsim.Interface) {
	r.t.Helper()
	r.do(fleet.Until(r.t.Context(), eni.ID+" to be gone", func() error {
		for _, e := range r.ours() {
			if e.ID == eni.ID {
				return fmt.Errorf("it is %+v", e)
			}
		}
		return nil
	}))
}

// cli runs nicferry beside the controller and returns what it prints.
func (r *rig) cli(args ...string) string {
	r.t.Helper()
	out, err := r.CLI(r.t.Context(), args...)
	r.do(err)
	return out
}

// says waits until what the user is told of a container has a match of each of the
// patterns, and returns it.
func (r *rig) says(container string, patterns ...string) string {
	r.t.Helper()
	var out string
	r.do(fleet.Until(r.t.Context(), fmt.Sprintf("the user to be told of %s: %q", container, patterns), func() (err error) {
		if out, err = r.CLI(r.t.Context(), "describe", "claim", container); err != nil {
			return err
		}
		for _, p := range patterns {
			if !regexp.MustCompile("(?s)" + p).MatchString(out) {
				err = errors.Join(err, fmt.Errorf("%q is not in:\n%s", p, out))
			}
		}
		return err
	}))
	return out
}

// inject plans faults, and returns how to take them back.
func (r *rig) inject(faults ...cloudsim.Fault) (names []string) {
	r.t.Helper()
	names, err := r.site.Cloud.Inject(faults...)
	r.do(err)
	return names
}

// struck says whether a fault that strikes once has done so.
func (r *rig) struck(name string) bool {
	for _, f := range r.site.Cloud.Faults() {
		if f.Name == name {
			return f.Struck > 0
		}
	}
	return true
}

// mark is a place in the cloud's log.
func (r *rig) mark() int { return len(r.site.Cloud.Log(0)) }

// effects are the calls since a mark that changed something, by API.
func (r *rig) effects(mark int) map[string]int {
	did := map[string]int{}
	for _, e := range r.site.Cloud.Log(mark) {
		if e.Effect && e.API != "" {
			did[e.API]++
		}
	}
	return did
}

// made wants a number of interfaces to have been made by us since a mark.
func (r *rig) made(mark, want int) {
	r.t.Helper()
	if n := r.effects(mark)["CreateNetworkInterface"]; n != want {
		r.t.Errorf("%d interfaces were made, want %d:\n%s", n, want, r.cloudLog(mark))
	}
}

// holders are our interfaces in the cloud that have the address.
func (r *rig) holders(addr netip.Addr) (all []cloudsim.Interface) {
	for _, e := range r.ours() {
		if slices.ContainsFunc(e.IPv4, func(p cloudsim.PrivateIP) bool { return p.Addr == addr }) {
			all = append(all, e)
		}
	}
	return all
}

// cardIs wants the container's eth0 to be an interface of the cloud in each respect,
// and returns that.
func (r *rig) cardIs(a *fleet.Agent, container string) cloudsim.Interface {
	r.t.Helper()
	ctx := r.t.Context()
	addr, err := a.AwaitAddress(ctx, container)
	r.do(err)
	eni := cloudsim.Interface{}
	for _, e := range r.holders(addr) {
		eni = e
	}
	if eni.Attachment == nil || eni.Attachment.Status != cloudsim.Attached || !eni.Attachment.DeleteOnTermination {
		r.t.Fatalf("%s has %s; the cloud has %+v with the attachment %+v", container, addr, eni, eni.Attachment)
	}
	var subnet site.Subnet
	for _, s := range r.about.Subnets {
		if s.ID == eni.Subnet {
			subnet = s
		}
	}
	gateway := subnet.CIDR.Masked().Addr().Next()
	out, err := a.Docker(ctx, "exec", container, "sh", "-c", "ip -o link show dev eth0; ip -o addr show dev eth0; ip route; ping -c 1 -W 5 "+gateway.String())
	r.do(err)
	for _, want := range []string{
		"link/ether " + eni.MAC.String() + " ", fmt.Sprintf("mtu %d ", vpcMTU), fmt.Sprintf("inet %s/%d ", addr, subnet.CIDR.Bits()),
		"default via " + gateway.String() + " dev eth0",
	} {
		if !strings.Contains(out, want) {
			r.t.Errorf("%s: want %q in:\n%s", container, want, out)
		}
	}
	return eni
}
