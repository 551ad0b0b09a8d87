package migrate

import (
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// What steps take as a rule. All but the copies are medians measured with TCG
// guests and a real engine on two slow cores; docs/bench-vm.md has such tables.
const (
	tookOut     = 30 * time.Millisecond  // take a NIC out of a container's namespace and wipe it
	tookCarry   = 140 * time.Millisecond // unplug 114 ms with what is above, plug in 41 ms, into the namespace 16 ms
	tookRebuild = 30 * time.Millisecond  // make one and put it into the namespace
	tookStart   = 300 * time.Millisecond // docker start, with its namespaces
	tookStop    = 100 * time.Millisecond // docker stop of what ends when it is told to
	tookCreate  = 200 * time.Millisecond
	tookOrder   = 20 * time.Millisecond // an order that does next to nothing
	// A cloud's times: assumptions, made of what its users tell.
	tookPlug      = 5 * time.Second // make a NIC and plug it in
	tookReaddress = 2 * time.Second // take an address from one NIC to another, and show it there
	// perSecond is how many bytes are copied in a second: two engines, two digests
	// and the way through the controller. It is an assumption.
	perSecond = 50 << 20
)

// silentWay is how long a NIC is nowhere on its way.
func silentWay(travel string) time.Duration {
	switch travel {
	case carry:
		return tookOut + tookCarry
	case readdress:
		return tookOut + tookReaddress
	}
	return tookOut + tookRebuild
}

// The ways that are not rebuild.
const (
	carry     = "carry"
	readdress = "readdress"
)

// readdresses: the address of a NIC goes alone.
func (p *planner) readdresses() bool {
	return slices.ContainsFunc(p.plan.NICs, func(n nic.PlannedNIC) bool { return n.Travel == readdress })
}

// reserve has a place for each such address, before anybody falls silent.
func (p *planner) reserve() {
	if p.readdresses() {
		p.add(StepReserve, tookPlug, "a NIC on %s that is plugged in has a place for each address", p.plan.Request.To)
	}
}

func toCopy(bytes int64) time.Duration {
	return time.Duration(float64(bytes) / perSecond * float64(time.Second))
}

// steps lists what would be done, with its times.
func (p *planner) steps() {
	switch p.plan.Request.Kind {
	case nic.MoveContainer:
		p.containerSteps()
	case nic.MoveNIC:
		p.nicSteps()
	}
	for _, s := range p.plan.Steps {
		if s.Silent {
			p.plan.Silence += s.Expected
		}
	}
	p.plan.SilenceAtMost = p.plan.Silence
	if p.plan.Request.Kind == nic.MoveContainer {
		p.plan.SilenceAtMost += nic.Duration(p.grace() - min(p.grace(), tookStop))
	}
}

// add appends a step.
func (p *planner) add(name string, took time.Duration, about string, args ...any) *nic.PlannedStep {
	p.plan.Steps = append(p.plan.Steps, nic.PlannedStep{Name: name, About: fmt.Sprintf(about, args...), Expected: nic.Duration(took)})
	return &p.plan.Steps[len(p.plan.Steps)-1]
}

// addSilent appends a step during which the container, if it runs, answers nobody.
func (p *planner) addSilent(name string, took time.Duration, about string, args ...any) {
	p.add(name, took, about, args...).Silent = !p.stopped()
}

func (p *planner) containerSteps() {
	r := p.plan.Request
	p.add(StepFence, 0, "the claims of %s are this move's, and room for them is kept on %s", r.Container, r.To)
	if p.restarts() {
		p.add(StepRestartsOff, tookOrder, "%s does not come back on %s by itself", r.Container, r.From)
	}
	if bytes := copied(p.plan.Copies, StepImage); p.copies(nic.StreamImage) {
		p.add(StepImage, toCopy(bytes), "the image goes to %s, %s", r.To, size(bytes))
	}
	p.add(StepCreate, tookCreate, "%s is made on %s, with all of its configuration, and not started", r.Container, r.To)
	p.reserve()
	if p.stopped() {
		p.add(StepStop, 0, "it is made sure that %s does not run on %s", r.Container, r.From)
	} else {
		p.addSilent(StepStop, min(p.grace(), tookStop), "%s is stopped on %s; it has %s to end", r.Container, r.From, p.grace())
	}
	if bytes := copied(p.plan.Copies, StepVolumes); p.copies(nic.StreamVolume) {
		p.addSilent(StepVolumes, toCopy(bytes), "its volumes go to %s, %s", r.To, size(bytes))
	}
	if bytes := copied(p.plan.Copies, StepLayer); p.copies(nic.StreamLayer) {
		p.addSilent(StepLayer, toCopy(bytes), "what it has written goes to %s, %s", r.To, size(bytes))
	}
	p.addSilent(StepNICOut, tookOut, "its NICs leave %s, clean", r.From)
	if !p.stopped() {
		p.addSilent(StepStart, tookStart, "%s is started on %s, and its NICs are plugged in there meanwhile", r.Container, r.To)
	}
	p.addSilent(StepNICIn, silentWay(p.plan.Travel)-tookOut, "its NICs are in, and announced")
	if wait := r.Options.Wait; wait > 0 && !p.stopped() {
		p.add(StepHealth, 0, "%s has %s to be healthy", r.Container, wait)
	}
	p.add(StepPivot, 0, "the claims are those of %s on %s", r.Container, r.To).Pivot = true
	if p.restarts() {
		p.add(StepRestartsOn, tookOrder, "%s has its restart policy again", r.Container)
	}
	if !r.Options.Keep {
		p.add(StepDrop, tookOrder, "%s on %s is removed", r.Container, r.From)
	}
	p.risks()
}

func (p *planner) nicSteps() {
	r := p.plan.Request
	p.add(StepFence, 0, "the claims of %s are this move's, and room for them is kept on %s", r.Container, r.To)
	p.add(StepAim, 0, "%s on %s is to have them", r.Target, r.To)
	p.reserve()
	p.addSilent(StepNICOut, tookOut, "the NICs leave %s, clean", r.From)
	p.addSilent(StepNICIn, silentWay(p.plan.Travel)-tookOut, "the NICs are in %s, and announced", r.Target)
	p.add(StepPivot, 0, "the claims are those of %s on %s", r.Target, r.To).Pivot = true
	p.addressRisks()
}

// addressRisks says what is not as where a NIC goes along.
func (p *planner) addressRisks() {
	for _, n := range p.plan.NICs {
		if n.Travel != readdress {
			continue
		}
		p.risk("%s keeps its address and gets another MAC, that of a NIC on %s: neighbours learn it from an announcement, and what is bound to the MAC is not found any more, such as static ARP entries, leases and licences",
			n.Interface, p.plan.Request.To)
		p.risk("between the two NICs the address of %s is on one that no container has, for as long as the cloud takes: about %s are assumed, and nothing is promised", n.Interface, tookReaddress)
	}
}

// risks says what is not as in a plain move, besides what was said with the parts.
func (p *planner) risks() {
	p.addressRisks()
	c, r := p.in.Container, p.plan.Request
	if c == nil {
		return
	}
	if p.stopped() {
		p.risk("%s does not run: it is made on %s and not started there", c.Name, r.To)
	} else if grace := p.grace(); grace > time.Second {
		p.risk("it is silent for up to %s more if %s does not end when it is told to", grace-tookStop, c.Name)
	}
	if r.Options.Wait > 0 && !c.Health {
		p.risk("%s has no health check: --wait asks only that it runs", c.Name)
	}
	if r.Options.Keep {
		p.risk("%s stays on %s, stopped, with restart policy no and without its NICs", c.Name, r.From)
	}
}

func (p *planner) copies(what nic.StreamWhat) bool {
	for _, c := range p.plan.Copies {
		if c.What == what {
			return true
		}
	}
	return false
}

// restarts: the container has a restart policy that would have it come back.
func (p *planner) restarts() bool {
	return p.in.Container != nil && p.in.Container.Policy.Name != "" && p.in.Container.Policy.Name != "no"
}

// grace is how long the container is given to stop.
func (p *planner) grace() time.Duration {
	switch {
	case p.stopped():
		return 0
	case p.plan.Request.Options.Grace > 0:
		return p.plan.Request.Options.Grace.D()
	case p.in.Container != nil:
		return p.in.Container.Grace.D()
	}
	return 0
}
