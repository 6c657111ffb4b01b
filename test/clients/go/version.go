package main

import "runtime/debug"

// version is the release of the SDK's Kinesis module that is built in.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/aws/aws-sdk-go-v2/service/kinesis" {
			return module.Version
		}
	}
	return "unknown"
}
