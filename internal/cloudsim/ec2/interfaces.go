package ec2

import (
	"context"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runCreateInterface(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *createNetworkInterface) (answer, error) {
	tags, no := tagsOf("network-interface", r.TagSpecs)
	if no != nil {
		return nil, no.asError()
	}
	create := cloudsim.CreateInterface{
		Subnet: r.SubnetID, Token: r.ClientToken, Description: r.Description, Groups: r.Groups, Primary: r.PrivateIP,
		IPv4Count: r.SecondaryCount, IPv4PrefixCount: r.PrefixCount,
		IPv6Count: r.IPv6Count, IPv6PrefixCount: r.IPv6PrefixCnt, Kind: r.Type, Tags: tags,
	}
	for _, a := range r.PrivateIPs {
		create.IPv4 = append(create.IPv4, cloudsim.WantedIP(a))
	}
	for _, p := range r.Prefixes {
		create.IPv4Prefixes = append(create.IPv4Prefixes, p.Prefix)
	}
	for _, a := range r.IPv6s {
		create.IPv6 = append(create.IPv6, a.Addr)
	}
	for _, p := range r.IPv6Prefixes {
		create.IPv6Prefixes = append(create.IPv6Prefixes, p.Prefix)
	}
	made, err := c.CreateInterface(ctx, call, create)
	return &createInterfaceAnswer{Interface: interfaceOf(made), ClientToken: r.ClientToken}, err
}

func runDescribeInterfaces(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeNetworkInterfaces) (answer, error) {
	page, err := c.DescribeInterfaces(ctx, call, r.describe(r.IDs, r.Filters))
	return &interfacesAnswer{more: more{page.NextToken}, Interfaces: each(page.Items, interfaceOf)}, err
}

func runAttach(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *attachNetworkInterface) (answer, error) {
	a, err := c.AttachInterface(ctx, call, cloudsim.AttachInterface{
		Interface: r.InterfaceID, Instance: r.InstanceID, Device: r.DeviceIndex, Card: r.Card,
	})
	return &attachAnswer{AttachmentID: a.ID, Card: a.Card}, err
}

func runDetach(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *detachNetworkInterface) (answer, error) {
	err := c.DetachInterface(ctx, call, cloudsim.DetachInterface{Attachment: r.AttachmentID, Force: r.Force})
	return &done{Return: true}, err
}

func runDeleteInterface(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *interfaceNamed) (answer, error) {
	return &done{Return: true}, c.DeleteInterface(ctx, call, r.InterfaceID)
}

func runModifyInterface(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *modifyNetworkInterfaceAttribute) (answer, error) {
	change := cloudsim.ModifyInterface{
		Interface: r.InterfaceID, Description: r.Description, SourceDestCheck: r.SourceDestCheck, Groups: r.Groups,
	}
	if r.Attachment != nil {
		change.Attachment = &cloudsim.ModifyAttachment{ID: r.Attachment.ID, DeleteOnTermination: r.Attachment.DeleteOnTermination}
	}
	return &done{Return: true}, c.ModifyInterface(ctx, call, change)
}

func runInterfaceAttribute(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeNetworkInterfaceAttribute) (answer, error) {
	i, err := c.DescribeInterfaceAttribute(ctx, call, r.InterfaceID, r.Attribute)
	a := &attributeAnswer{ID: i.ID}
	switch r.Attribute {
	case "description":
		a.Description = &textItem{i.Description}
	case "sourceDestCheck":
		a.SourceDestCheck = &boolItem{i.SourceDestCheck}
	case "groupSet":
		a.Groups = &groupSet{groupItems(i.Groups)}
	case "attachment":
		a.Attachment = attachmentOf(i.Attachment)
	}
	return a, err
}

func runResetInterface(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *resetNetworkInterfaceAttribute) (answer, error) {
	if r.SourceDestCheck == nil {
		return nil, refuse(missing, "SourceDestCheck").asError()
	}
	if *r.SourceDestCheck != "" { // its presence says all
		return nil, refuse(badValue, *r.SourceDestCheck, "SourceDestCheck").asError()
	}
	return &done{Return: true}, c.ResetInterface(ctx, call, r.InterfaceID)
}
