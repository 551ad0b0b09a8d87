package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// How often a reserved claim is looked at, and for how long: for its NIC to be ready,
// unless the user says otherwise, and for its container to have it.
const (
	reservedLook = 100 * time.Millisecond
	reservedWait = time.Minute
	backWait     = 10 * time.Second // for a NIC that is given back, at the least
	adoptedWait  = 20 * time.Second
)

// runCommand is "nicferry run".
type runCommand struct {
	*app
	container dockerRun
	node      string
	docker    string
	dryRun    bool
	limit     time.Duration
}

func (r *runCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run --on NETWORK [--name NAME] -- [DOCKER RUN FLAGS] IMAGE [COMMAND]",
		Short: "Run a container whose program drives its network card itself",
		Long: `Run a container on this machine, by docker run, whose program drives its network
card itself (DPDK): on a network with mode vfio. Docker has to be told of devices when
it makes a container, so a NIC is reserved first; when the node has bound it, docker
run gets its devices, the label for its network, and room to lock memory. What the
container gets goes to it as NICFERRY_PCI_ETH0, NICFERRY_MAC_ETH0 and
NICFERRY_ADDRS_ETH0, after the interface's name; what is behind -- goes to docker run
as it is. Docker's own network is left out unless you ask for one.

An image that is not here is pulled first, as by docker run. A NIC that is reserved and
not used is given back when docker run fails, and at the latest after five minutes. It
works for other networks too, which need none of this: docker run --label
nicferry.network=NETWORK does.

It needs root's socket of the controller, an admin's certificate, or this node's own:
--controller, --cert and --key of its agent. Exit codes are those of docker run; until
that begins, those of nicferry.`,
		Example: `  nicferry run --on fast --name packets -- --rm -v /dev/hugepages:/dev/hugepages dpdk \
    sh -c 'exec dpdk-testpmd -a $NICFERRY_PCI_ETH0 -l 0-1 --legacy-mem -m 64 --huge-unlink -- --auto-start --stats-period 1'
  nicferry run --on fast --dry-run -- dpdk`,
		RunE: r.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&r.container.network, "on", "", "the `network` that the card comes from; required")
	flags.StringVar(&r.container.name, "name", "", "the container's `name`; default is one that is made up")
	flags.StringVar(&r.container.interfaceName, "interface", "eth0", "the `interface` that the card stands for, in the variables' names")
	flags.StringVar(&r.container.tenant, "tenant", "", "the `tenant` whose container it is; default is the node's first")
	flags.StringVar(&r.node, "node", "", "this machine's `name` to the controller; default is its host name")
	flags.StringVar(&r.docker, "docker", "docker", "the `program` that runs it")
	flags.BoolVar(&r.dryRun, "dry-run", false, "print the docker command, with what is not known yet in capitals, and do nothing")
	return cmd
}

func (r *runCommand) run(cmd *cobra.Command, args []string) error {
	r.limit = reservedWait
	if cmd.Flags().Changed("timeout") {
		r.limit = r.timeout
	}
	r.container.rest = args
	if r.container.name == "" {
		r.container.name = "nicferry-" + randomHex(4)
	}
	if r.node == "" {
		host, err := os.Hostname()
		if err != nil {
			return usagef("--node: %s", err)
		}
		r.node = host
	}
	if err := r.container.check(); err != nil {
		return err
	}
	if r.dryRun {
		_, err := fmt.Fprintln(r.out, shellLine(append([]string{r.docker}, r.container.args(unknownCard)...)))
		return err
	}
	c, err := r.open()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	if err := r.check(ctx, c); err != nil {
		return err
	}
	if err := r.fetch(ctx); err != nil {
		return err
	}
	claim, err := r.reserve(ctx, c)
	if err != nil {
		return err
	}
	card, err := r.await(ctx, c, claim)
	if err != nil {
		return errors.Join(err, r.giveBack(ctx, c, claim.ID))
	}
	fmt.Fprintf(r.err, "nicferry: %s is ready for %s: %s\n", claim.ID, oneLine(r.container.name), oneLine(card.text()))
	return r.start(ctx, c, claim.ID, card)
}

// randomHex is so many random bytes in hex digits.
func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// reserve asks for a claim in the name of a container that is about to be made.
func (r *runCommand) reserve(ctx context.Context, c *client.Client) (nic.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	owner := nic.Owner{Node: r.node, Kind: nic.OwnerReservation, Sandbox: randomHex(32), Interface: r.container.interfaceName}
	claim, err := c.Acquire(ctx, owner, r.container.name, nic.Request{
		Interface: r.container.interfaceName, Network: r.container.network, Tenant: r.container.tenant, Unstarted: true,
	})
	if err != nil {
		err = asFlags(err, map[string]string{
			"body.owner": "--node, --interface", "body.request.network": "--on", "body.request.tenant": "--tenant", "body.request.interface": "--interface",
		})
		return claim, fmt.Errorf("reserve a NIC of %s on node %s: %w", oneLine(r.container.network), oneLine(r.node), err)
	}
	return claim, nil
}

// await waits until the node has the claim's NIC ready, and tells meanwhile what it
// waits for.
func (r *runCommand) await(ctx context.Context, c *client.Client, claim nic.Claim) (runCard, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	tick := time.NewTicker(reservedLook)
	defer tick.Stop()
	told, waits := "", waitsFor(api.ClaimView{})
	for {
		view, err := c.Claim(ctx, claim.ID)
		if err == nil && view.Phase == nic.ClaimRefused {
			return runCard{}, &api.Error{Code: api.CodeRefused, Claim: claim.ID, Message: "no NIC: " + newest(view.Conditions).Message}
		}
		if err == nil && view.NIC != "" && view.Observed != nil && view.Observed.NIC == view.NIC && view.Observed.State == nic.ObservedMade {
			var n api.NICView
			if n, err = c.NIC(ctx, view.NIC); err == nil {
				return cardOf(view, n), nil
			}
		}
		if err != nil && !errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil {
			return runCard{}, fmt.Errorf("look at reserved claim %s: %w", claim.ID, err)
		}
		if err == nil {
			waits = waitsFor(view)
		}
		if waits != told {
			fmt.Fprintln(r.err, "nicferry: waiting:", oneLine(waits))
			told = waits
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return runCard{}, fmt.Errorf("wait for the NIC of %s: %w: %s", claim.ID, ctx.Err(), oneLine(waits))
		}
	}
}

// waitsFor says for people why a reserved claim has no NIC that is ready.
func waitsFor(view api.ClaimView) string {
	conditions := view.Conditions
	if view.Observed != nil {
		conditions = append(conditions[:len(conditions):len(conditions)], view.Observed.Conditions...)
	}
	if text := newest(conditions).Message; text != "" {
		return text
	}
	return "for the node to make the NIC ready"
}

// giveBack releases a claim that no container has come for; one that has its own by now
// stays.
func (r *runCommand) giveBack(ctx context.Context, c *client.Client, id nic.ClaimID) error {
	// However short the user would wait for the NIC, it is not to stay reserved.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(r.timeout, backWait))
	defer cancel()
	view, err := c.Claim(ctx, id)
	if err == nil && view.Owner.Kind == nic.OwnerReservation {
		err = c.Release(ctx, id, view.Epoch)
	}
	if err != nil && !api.IsNotFound(err) {
		return fmt.Errorf("give the reserved NIC back, which ends by itself otherwise: %w", err)
	}
	return nil
}

// dockerFailed is docker's own exit code for what it could not begin.
const dockerFailed = 125

// A dockerError is the end of docker, which has told the user why.
type dockerError struct {
	what string
	code int // docker run's
}

func (e *dockerError) Error() string { return e.what }

func dockerEnded(code int) error {
	return &dockerError{fmt.Sprintf("docker run ended with %d", code), code}
}

// start runs docker run to its end.
func (r *runCommand) start(ctx context.Context, c *client.Client, id nic.ClaimID, card runCard) error {
	docker := exec.CommandContext(ctx, r.docker, r.container.args(card)...)
	docker.Cancel = func() error { return docker.Process.Signal(syscall.SIGTERM) } // it lets its container end
	docker.Stdin, docker.Stdout, docker.Stderr = os.Stdin, r.out, r.err
	err := docker.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err != nil && !ended:
		return errors.Join(fmt.Errorf("run %s: %w", r.docker, err), r.giveBack(ctx, c, id))
	case ended && exit.ExitCode() == dockerFailed:
		return errors.Join(dockerEnded(dockerFailed), r.giveBack(ctx, c, id))
	case ended:
		return errors.Join(dockerEnded(max(exit.ExitCode(), 1)), r.giveBack(ctx, c, id))
	}
	return r.adopted(ctx, c, id)
}

// adopted waits until the claim is the container's: docker run -d ends before the
// node's agent has seen that. A container that has ended has none any more.
func (r *runCommand) adopted(ctx context.Context, c *client.Client, id nic.ClaimID) error {
	ctx, cancel := context.WithTimeout(ctx, adoptedWait)
	defer cancel()
	tick := time.NewTicker(reservedLook)
	defer tick.Stop()
	for {
		view, err := c.Claim(ctx, id)
		if api.IsNotFound(err) || err == nil && view.Owner.Kind == nic.OwnerContainer {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the container runs, and after %s the agent of node %s has not given it claim %s, which ends by itself: "+
				"does the agent run, and is --node this machine's name? nicferry describe claims %s", adoptedWait, oneLine(r.node), id, strings.TrimSpace(oneLine(r.container.name)))
		}
	}
}
