package cloudsim

import "context"

// A ModifyInterface changes exactly one thing of an interface.
type ModifyInterface struct {
	Interface string // required
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
	return errNotBuilt
}

// DescribeInterfaceAttribute shows an interface, of which the face answers with
// the one attribute: description, groupSet, sourceDestCheck or attachment.
func (c *Cloud) DescribeInterfaceAttribute(ctx context.Context, call Call, id, attribute string) (Interface, error) {
	return Interface{}, errNotBuilt
}

// ResetInterface turns the source/dest check of an interface on again.
func (c *Cloud) ResetInterface(ctx context.Context, call Call, id string) error { return errNotBuilt }
