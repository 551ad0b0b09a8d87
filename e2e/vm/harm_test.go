//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// everything is a move with all steps.
var everything = nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyCopy, Wait: nic.Duration(20 * time.Second)}

// What has the engine of a guest fail, and heal.
const (
	noCreate = "chattr +i /var/lib/docker/containers"
	create   = "chattr -i /var/lib/docker/containers"
	noStart  = "mount --bind /bin/false $(readlink -f $(command -v runc))"
	start    = "umount $(readlink -f $(command -v runc))"
)

// makeFail has steps fail on the target, failBack their way back on the source, once
// the target's start has failed. NICs fail while libvirtd is not there; see strike.
// The other steps are failed on engines whose every call passes by a test, in
// e2e/migrate.
var (
	makeFail = map[string]string{migrate.StepCreate: noCreate, migrate.StepStart: noStart}
	failBack = map[string]string{migrate.StepStop: noStart}
	// withoutLibvirt are the steps that fail when libvirtd is dead.
	withoutLibvirt = []string{migrate.StepNICOut, migrate.StepNICIn}
	undo           = map[string]string{noCreate: create, noStart: start}
)

// possible are the cases that can be made of real machines.
func possible(cases []migratetest.Case) []migratetest.Case {
	return slices.DeleteFunc(slices.Clone(cases), func(c migratetest.Case) bool {
		_, fails := makeFail[c.Step]
		_, back := failBack[c.Step]
		return c.Harm == migratetest.Fails && !fails && !slices.Contains(withoutLibvirt, c.Step) || c.Harm == migratetest.FailsBack && !back
	})
}

// A harmed is one case.
type harmed struct {
	*mover
	migratetest.Case

	id   nic.MoveID
	last nic.Move
	hurt bool
	// away is the guest that is off or whose agent sleeps.
	away *cluster.Node
	heal []func(context.Context) error
}

// play moves the container from vm1 to vm2, does the harm once the step has begun,
// and says how it ended.
func (c *harmed) play() (outcome string) {
	t := c.t
	t.Helper()
	if c.Step == migrate.StepImage {
		c.must(forgetImage(t.Context(), c.node(2)))
	}
	c.prepare()
	request := nic.MoveRequest{Container: c.name, To: "vm2", Options: everything}
	move, err := c.calls.BeginMove(t.Context(), request)
	c.must(err)
	c.id = move.ID
	t.Cleanup(c.givesUp)
	c.follow("rest", func(m nic.Move) bool {
		if s := migratetest.Step(m, c.when()); s.State != nic.StepOpen && !c.hurt {
			c.tell("%s at %s", c.Harm, migratetest.Tell(m))
			c.must(c.strike(t.Context()))
			c.hurt = true
			return false // it may have gone on meanwhile
		}
		return c.rested(m)
	})
	c.tell("%s", migratetest.Tell(c.last))
	if !c.hurt {
		t.Errorf("the move never came to %s", c.Step)
	}
	if at := c.at(); c.last.Phase != nic.MoveParked && at != c.away {
		c.settled(at) // with what is harmed still away
	}
	for _, heal := range slices.Backward(c.heal) {
		c.must(heal(t.Context()))
	}
	c.tell("what was harmed is there again")
	if c.last.Phase == nic.MoveParked {
		outcome = "parked, then "
		c.remedy()
	}
	return outcome + c.ends()
}

// follow hears of the move until enough, or until it has gone on for too long.
func (c *harmed) follow(what string, enough func(nic.Move) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), restTime)
	defer cancel()
	err := c.calls.FollowMove(ctx, c.id, client.MoveReader{Changed: func(v api.MoveView) bool {
		c.last = v.Move
		return !enough(v.Move)
	}})
	if err != nil {
		c.t.Fatalf("wait for the move to %s: %v; it is %s", what, err, migratetest.Tell(c.last))
	}
}

// rested says whether the move needs no more waiting: it is over, or parked, or
// past its pivot and waits for who is away.
func (c *harmed) rested(m nic.Move) bool {
	waits := func(s nic.MoveStep) bool { return s.Error != "" && s.State == nic.StepDoing }
	return m.Phase.Over() || m.Phase == nic.MoveParked || m.Phase == nic.MoveFinishing && c.away != nil && slices.ContainsFunc(m.Steps, waits)
}

// givesUp has a move that a failed test leaves behind go back, so that it is not in
// the way of the next.
func (c *harmed) givesUp() {
	if c.last.Phase.Over() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), endTime)
	defer cancel()
	out, err := c.CLI(ctx, "migrate", "--abort", string(c.id))
	c.tell("it is given up: %v: %s", err, out)
}

// remedies is how often a person does what a parked move says would help: a guest
// that has just booted may be too slow for the first time.
const remedies = 3

// remedy runs what the parked move says would help, and again if it parks anew.
func (c *harmed) remedy() {
	c.t.Helper()
	for range remedies {
		args := migratetest.Remedy(c.last)
		if args == nil {
			c.t.Fatalf("parked without a reason or a command: %s", migratetest.Tell(c.last))
		}
		out, err := c.CLI(c.t.Context(), args...)
		c.tell("nicferry %s: %v: %s", strings.Join(args, " "), err, out)
		if c.follow("heed it", c.rested); c.last.Phase != nic.MoveParked {
			return
		}
	}
}

// ends waits until the move is over, and wants the container where that says.
func (c *harmed) ends() string {
	c.t.Helper()
	begin := time.Now()
	c.follow("be over", func(m nic.Move) bool { return m.Phase.Over() })
	c.tell("over after %.1f s: %s", time.Since(begin).Seconds(), migratetest.Tell(c.last))
	c.settled(c.at())
	c.whole(c.at())
	return string(c.last.Phase)
}

// at is the guest in which the container is to be by the word of the move.
func (c *harmed) at() *cluster.Node {
	if c.last.Phase == nic.MoveUndone {
		return c.node(1)
	}
	return c.node(2)
}

// when is the step at which the harm is done.
func (c *harmed) when() string {
	if c.Harm == migratetest.FailsBack {
		return migrate.StepStart // which fails, so that it goes back
	}
	return c.Step
}

// prepare has the target's engine fail, if the case is about that.
func (c *harmed) prepare() {
	c.t.Helper()
	switch c.Harm {
	case migratetest.Fails:
		c.must(c.fail(c.t.Context(), c.node(2), makeFail[c.Step]))
	case migratetest.FailsBack:
		c.must(c.fail(c.t.Context(), c.node(2), noStart))
	}
}

// fail has a guest's engine fail until the move rests.
func (c *harmed) fail(ctx context.Context, n *cluster.Node, script string) error {
	if script == "" {
		return nil
	}
	heal := func(ctx context.Context) error {
		_, err := n.Command(ctx, "sh", "-ec", undo[script]).Output()
		return err
	}
	c.heals(heal)
	_, err := n.Command(ctx, "sh", "-ec", script).Output()
	return err
}

// libvirtAway is how long there is no libvirtd where NICs are to fail.
const libvirtAway = 10 * time.Second

// strike does the harm.
func (c *harmed) strike(ctx context.Context) error {
	source, target := c.node(1), c.node(2)
	switch c.Harm {
	case migratetest.Fails:
		if !slices.Contains(withoutLibvirt, c.Step) {
			return nil // it is prepared
		}
		if err := c.Host().Kill(ctx, "libvirtd"); err != nil {
			return err
		}
		sleep(c.t, libvirtAway)
		return errors.Join(c.Host().StartLibvirt(ctx), c.libvirtIsBack(ctx))
	case migratetest.FailsBack:
		return c.fail(ctx, source, failBack[c.Step])
	case migratetest.KillController:
		return errors.Join(c.KillController(ctx), c.StartController(ctx))
	case migratetest.KillSource:
		return errors.Join(source.KillAgent(ctx), source.StartAgent(ctx))
	case migratetest.KillTarget:
		return errors.Join(target.KillAgent(ctx), target.StartAgent(ctx))
	case migratetest.LoseSource:
		return c.lose(ctx, source)
	case migratetest.LoseTarget:
		return c.lose(ctx, target)
	case migratetest.MuteSource:
		return c.mute(ctx, source)
	case migratetest.MuteTarget:
		return c.mute(ctx, target)
	}
	return fmt.Errorf("unknown harm %q", c.Harm)
}

// libvirtIsBack waits until this test can ask libvirtd again, which its connection
// tries ever less often while there is none.
func (c *harmed) libvirtIsBack(ctx context.Context) error {
	return await(ctx, "libvirtd answers again", endTime, func(ctx context.Context) error {
		_, err := c.Virt().Domain(ctx, "vm1")
		return err
	})
}

// forgetImage takes away what other moves have left of the image in a guest, so that
// it has to be brought. One that a container runs of stays.
func forgetImage(ctx context.Context, n *cluster.Node) error {
	_, err := n.Docker(ctx, "image", "rm", "-f", "nicferry.moved/"+lab.ImageName)
	if err != nil && (strings.Contains(err.Error(), "No such image") || strings.Contains(err.Error(), "running container")) {
		err = nil
	}
	_, pruned := n.Docker(ctx, "image", "prune", "-f")
	return errors.Join(err, pruned)
}

// lose has a guest lose its power until the move rests.
func (c *harmed) lose(ctx context.Context, n *cluster.Node) error {
	c.away = n
	c.heal = append(c.heal, func(ctx context.Context) error {
		err := errors.Join(c.powerOn(ctx, n), c.look.post(n))
		if err == nil { // Docker may have lost half of an image with the power, and not know
			err = forgetImage(ctx, n)
		}
		return err
	})
	c.look.lost(n)
	return c.Virt().Destroy(ctx, n.Name)
}

// mute has a guest's agent do nothing until the move rests.
func (c *harmed) mute(ctx context.Context, n *cluster.Node) error {
	c.away = n
	signal := func(ctx context.Context, name string) error {
		_, err := n.Command(ctx, "pkill", "-"+name, "-x", "nicferry-agent").Output()
		return err
	}
	c.heals(func(ctx context.Context) error { return signal(ctx, "CONT") })
	return signal(ctx, "STOP")
}

// heals has something done when the move rests, or when the test has failed.
func (c *harmed) heals(heal func(context.Context) error) {
	c.heal = append(c.heal, heal)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			_ = heal(context.WithoutCancel(c.t.Context())) // it may be done already
		}
	})
}
