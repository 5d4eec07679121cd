from common.rates import UserThrottle


class SearchThrottle(UserThrottle):
    setting = "SEARCH_RATE"
