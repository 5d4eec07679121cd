from common.rates import UserThrottle


class SendThrottle(UserThrottle):
    setting = "SEND_RATE"
    methods = ("POST",)
