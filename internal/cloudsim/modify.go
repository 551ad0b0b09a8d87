package cloudsim

import (
	"context"
	"slices"
)

// A ModifyInterface changes exactly one thing of an interface, or with Several more at once.
type ModifyInterface struct {
	Interface string // required
	Several   bool
	// Name and GoesWithInstance are changed besides, of an interface that has them.
	Name             *string
	GoesWithInstance *bool
	// One of these is set.
	Description     *string
	SourceDestCheck *bool
	Groups          []string
	Attachment      *ModifyAttachment
}

// A ModifyAttachment says whether the interface goes with its instance.
type ModifyAttachment struct {
	ID                  string
	DeleteOnTermination *bool
}

// ModifyInterface changes an interface at once.
func (c *Cloud) ModifyInterface(ctx context.Context, call Call, r ModifyInterface) error {
	ids := append([]string{r.Interface}, r.Groups...)
	if r.Attachment != nil {
		ids = append(ids, r.Attachment.ID)
	}
	return c.change(ctx, call, "ModifyNetworkInterfaceAttribute", ids, func(t *turn, e *eni) error {
		if n := ways(r.Name != nil, r.GoesWithInstance != nil, r.Description != nil, r.SourceDestCheck != nil, r.Groups != nil, r.Attachment != nil); n != 1 && (n == 0 || !r.Several) {
			return refuse("combination", "Exactly one attribute of a network interface can be changed by a call.")
		}
		groups, err := t.modifiable(e, r)
		if err != nil {
			return err
		}
		if err := t.effect(); err != nil {
			return err
		}
		if r.Name != nil {
			e.now.Name = *r.Name
		}
		if goes := r.GoesWithInstance; goes != nil {
			e.now.GoesWithInstance = *goes
			if e.now.Attachment != nil {
				e.attached(func(a *Attachment) { a.DeleteOnTermination = *goes })
			}
		}
		if r.Description != nil {
			e.now.Description = *r.Description
		}
		if r.SourceDestCheck != nil {
			e.now.SourceDestCheck = *r.SourceDestCheck
		}
		if groups != nil {
			e.now.Groups = groups
		}
		if r.Attachment != nil {
			e.attached(func(a *Attachment) { a.DeleteOnTermination = *r.Attachment.DeleteOnTermination })
		}
		c.commit(e, t.now, t.hidden())
		return nil
	})
}

// modifiable checks a change, and resolves its groups.
func (t *turn) modifiable(e *eni, r ModifyInterface) (groups []Group, err error) {
	if r.Groups != nil && len(r.Groups) == 0 {
		return nil, refuse("group.none")
	}
	if r.Groups != nil {
		if groups, err = t.c.groupsFor(r.Groups, e.subnet, "group.unknown", e.now.Groups...); err != nil {
			return nil, err
		}
	}
	if r.Attachment == nil {
		return groups, nil
	}
	if r.Attachment.DeleteOnTermination == nil {
		return nil, refuse("missing", "Attachment.DeleteOnTermination")
	}
	if a := e.now.Attachment; a == nil || a.ID != r.Attachment.ID {
		return nil, refuse("attachment.missing", r.Attachment.ID)
	}
	return groups, nil
}

// attributes are those that can be asked for one by one.
var attributes = []string{"description", "groupSet", "sourceDestCheck", "attachment", "associatePublicIpAddress"}

// DescribeInterfaceAttribute shows an interface, of which the face answers with
// the one attribute: description, groupSet, sourceDestCheck, attachment or
// associatePublicIpAddress; empty is description.
func (c *Cloud) DescribeInterfaceAttribute(ctx context.Context, call Call, id, attribute string) (Interface, error) {
	o := op{api: "DescribeNetworkInterfaceAttribute", ids: []string{id}, reads: true}
	return serve(ctx, c, call, o, func(t *turn) (Interface, error) {
		if attribute != "" && !slices.Contains(attributes, attribute) {
			return Interface{}, refuse("attribute.unknown", attribute)
		}
		e, err := t.eni(id)
		if err != nil {
			return Interface{}, err
		}
		seen := e.at(t.sees())
		if seen == nil {
			return Interface{}, refuse("eni.missing", id)
		}
		return seen.clone(), nil
	})
}

// ResetInterface turns the source/dest check of an interface on again.
func (c *Cloud) ResetInterface(ctx context.Context, call Call, id string) error {
	return c.change(ctx, call, "ResetNetworkInterfaceAttribute", []string{id}, func(t *turn, e *eni) error {
		if err := t.effect(); err != nil {
			return err
		}
		e.now.SourceDestCheck = true
		c.commit(e, t.now, t.hidden())
		return nil
	})
}
