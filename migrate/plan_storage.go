package migrate

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// storage says what of image, volumes and writable layer goes along.
func (p *planner) storage() {
	c := p.in.Container
	if c == nil {
		return
	}
	p.image()
	switch p.plan.Request.Options.Volumes {
	case nic.CopyCopy:
		p.copyVolumes()
	case nic.CopyIgnore:
		p.leaveVolumes()
	default:
		p.refuseVolumes()
	}
	p.layer()
	if p.in.There == nil || p.in.There.Disk == 0 {
		return
	}
	var need int64
	for _, copied := range p.plan.Copies {
		need += copied.Bytes
	}
	if need > p.in.There.Disk {
		p.refuse("disk", "free some there: docker system df", "%s is to be copied, and %s has %s free where Docker keeps its data", size(need), p.plan.Request.To, size(p.in.There.Disk))
	}
}

func (p *planner) image() {
	c := p.in.Container
	if p.in.There == nil || p.in.There.HasImage {
		return
	}
	p.plan.Copies = append(p.plan.Copies, nic.PlannedCopy{What: nic.StreamImage, Ref: imageRef(c), Bytes: c.Size, Pull: len(c.Digests) > 0})
}

// imageRef is how the image is asked for: by digest of a registry where it has
// one, so that nothing else can come, or else by its id.
func imageRef(c *nic.ContainerFacts) string {
	if len(c.Digests) > 0 {
		return c.Digests[0]
	}
	return c.ImageID
}

func (p *planner) refuseVolumes() {
	c := p.in.Container
	if len(c.Volumes) == 0 {
		return
	}
	var names []string
	var bytes int64
	for _, v := range c.Volumes {
		names = append(names, shown(v)+" at "+v.Target)
		bytes += v.Bytes
	}
	p.refuse("volumes", "say --volumes copy, or --volumes ignore to leave them behind", "%s has %d with %s: %s", c.Name, len(names), size(bytes), some(names))
}

func (p *planner) copyVolumes() {
	c, r := p.in.Container, p.plan.Request
	var stay []string
	for _, v := range c.Volumes {
		switch {
		case v.Driver != "" && v.Driver != "local":
			p.refuse("volumes", "say --volumes ignore, if the driver has the same volume on "+r.To, "volume %s is of the driver %s, and only local ones can be copied", shown(v), v.Driver)
		case len(v.Others) > 0:
			p.refuse("volumes", "stop sharing it, or say --volumes ignore", "volume %s is also used by %s, which stays on %s", shown(v), some(v.Others), r.From)
		case p.in.There != nil && slices.Contains(p.in.There.Volumes, v.Name):
			p.refuse("volumes", "docker volume rm it there, or say --volumes ignore to use it as it is", "there is a volume %s on %s already", shown(v), r.To)
		default:
			p.plan.Copies = append(p.plan.Copies, nic.PlannedCopy{What: nic.StreamVolume, Ref: v.Name, Bytes: v.Bytes})
			if !v.Anonymous {
				stay = append(stay, v.Name)
			}
		}
	}
	if len(stay) > 0 {
		p.risk("what is in volume %s on %s now stays there as well, as it was at the move, until it is removed with docker volume rm", some(stay), r.From)
	}
}

func (p *planner) leaveVolumes() {
	c, r := p.in.Container, p.plan.Request
	for _, v := range c.Volumes {
		switch {
		case p.in.There != nil && slices.Contains(p.in.There.Volumes, v.Name):
			p.risk("%s gets the volume %s that is on %s already, with what is in it", c.Name, shown(v), r.To)
		case v.Driver != "" && v.Driver != "local":
			p.risk("%s gets what the driver %s has as volume %s on %s", c.Name, v.Driver, shown(v), r.To)
		default:
			p.risk("volume %s with %s stays on %s; %s gets an empty one, or what its image has there", shown(v), size(v.Bytes), r.From, c.Name)
		}
	}
}

func (p *planner) layer() {
	c, r := p.in.Container, p.plan.Request
	if c.Written == 0 {
		return
	}
	switch r.Options.Layer {
	case nic.CopyCopy:
		p.plan.Copies = append(p.plan.Copies, nic.PlannedCopy{What: nic.StreamLayer, Ref: c.ID, Bytes: c.WrittenBytes})
	case nic.CopyIgnore:
		p.risk("what %s has written beside its volumes is lost: %d paths with %s (%s)", c.Name, c.Written, size(c.WrittenBytes), firstOf(c))
	default:
		p.refuse("layer", "say --layer copy, or --layer ignore to lose it", "%s has written beside its volumes: %d paths with %s (%s)", c.Name, c.Written, size(c.WrittenBytes), firstOf(c))
	}
}

func firstOf(c *nic.ContainerFacts) string {
	words := strings.Join(c.WrittenFirst[:min(len(c.WrittenFirst), 3)], ", ")
	if c.Written > 3 {
		words += ", …"
	}
	return words
}

// shown is a volume's name for people: that of an anonymous one is long and says
// nothing.
func shown(v nic.VolumeFacts) string {
	if v.Anonymous && len(v.Name) > 12 {
		return v.Name[:12] + "…"
	}
	return v.Name
}

// volumesThere are the volumes that the container has on the target: those that
// are made with it, and those that are there before.
func volumesThere(in Facts) (made, before []string) {
	for _, v := range in.Container.Volumes {
		local := v.Driver == "" || v.Driver == "local"
		if local && (in.There == nil || !slices.Contains(in.There.Volumes, v.Name)) {
			made = append(made, v.Name)
		} else {
			before = append(before, v.Name)
		}
	}
	return made, before
}

// copied is how many bytes a step copies.
func copied(copies []nic.PlannedCopy, step string) (bytes int64) {
	for _, c := range copies {
		if stepOf(c.What) == step {
			bytes += c.Bytes
		}
	}
	return bytes
}

// stepOf is the step that copies something.
func stepOf(what nic.StreamWhat) string {
	switch what {
	case nic.StreamImage:
		return StepImage
	case nic.StreamVolume:
		return StepVolumes
	case nic.StreamLayer:
		return StepLayer
	}
	return ""
}
