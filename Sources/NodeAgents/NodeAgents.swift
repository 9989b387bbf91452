// NodeAgents
