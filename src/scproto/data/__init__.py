"""From counts to minibatches of views."""
