package cloudsim

import (
	"time"
)

// A Foreign is an interface that somebody else made.
type Foreign struct {
	// Subnet is where; required.
	Subnet      string `json:"subnet" yaml:"subnet"`
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	Tags        Tags   `json:"tags,omitempty" yaml:"tags,omitempty"`
	// Instance is where it is plugged in, at the lowest free index of card 0;
	// empty is nowhere. No Plugger hears of it.
	Instance string `json:"instance,omitempty" yaml:"instance,omitempty"`
	// Requester is the service that manages it, such as amazon-elb; empty is
	// nobody.
	Requester string `json:"requester,omitempty" yaml:"requester,omitempty"`
	// Count is how many there are; 0 is one.
	Count int `json:"count,omitempty" yaml:"count,omitempty"`
}

// Plant puts foreign interfaces into the world and returns their ids.
func (c *Cloud) Plant(foreign ...Foreign) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.agenda.catchUp(now)
	return c.plant(now, foreign)
}

func (c *Cloud) plant(now time.Time, foreign []Foreign) ([]string, error) {
	var ids []string
	for _, f := range foreign {
		for range max(f.Count, 1) {
			e, err := c.plantOne(now, f)
			if err != nil {
				return ids, err
			}
			ids = append(ids, e.now.ID)
			c.happened(now, "planted", e, f.Instance, "")
		}
	}
	return ids, nil
}

func (c *Cloud) plantOne(now time.Time, f Foreign) (*eni, error) {
	s := c.subnets[f.Subnet]
	if s == nil {
		return nil, refuse("subnet.missing", f.Subnet)
	}
	i, device := c.instances[f.Instance], 0
	if f.Instance != "" {
		if i == nil {
			return nil, refuse("instance.missing", f.Instance)
		}
		if device = i.firstFree(0); device >= c.types[i.Type].Cards[0] {
			return nil, refuse("attach.limit", len(i.cards())+1, i.Type)
		}
	}
	groups, err := c.groupsFor(nil, s, "group.missing")
	if err != nil {
		return nil, err
	}
	g, err := c.gifts(s, CreateInterface{Subnet: s.ID})
	if err != nil {
		return nil, err
	}
	e := c.make(s, g, Interface{
		Description: f.Description, Groups: groups, Kind: "interface", Tags: f.Tags.clone(), Created: now,
		Requester: f.Requester, Managed: f.Requester != "",
	})
	e.now.Status = StatusAvailable
	if i != nil {
		c.place(e, i, Attachment{Device: device}, now)
		e.attached(func(a *Attachment) { a.Status = Attached })
	}
	c.commit(e, now, 0)
	return e, nil
}
